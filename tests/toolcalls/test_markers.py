"""Markers: how they are written, where they may begin, and their token ids."""

import pytest

from k2compat.toolcalls import marker_ids
from k2compat.toolcalls.markers import MARKERS, marker_set

CONFIG = {
    "added_tokens_decoder": {
        "163586": {"content": "<|im_end|>", "special": True},
        "163595": {"content": "<|tool_calls_section_begin|>", "special": True},
        "163597": {"content": "<|tool_call_begin|>", "special": True},
        "163606": "<think>",
        "163587": {"content": "<|im_user|>", "special": True},
        "163588": {"special": True},
    }
}


def test_marker_ids_are_read() -> None:
    assert marker_ids(CONFIG) == {
        163586: "<|im_end|>",
        163595: "<|tool_calls_section_begin|>",
        163597: "<|tool_call_begin|>",
        163606: "<think>",
    }


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"added_tokens_decoder": None},
        {"added_tokens_decoder": {"1": {"content": "<|im_end|>"}}},
    ],
)
def test_another_models_config_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="tool_call_begin"):
        marker_ids(config)


@pytest.mark.parametrize("marker", MARKERS)
def test_every_beginning_of_a_marker_is_held(marker: str) -> None:
    markers = marker_set(reasoning=True)
    for length in range(1, len(marker)):
        assert marker_set(reasoning=True).may_contain_or_end_in_marker("x" + marker[:length])
        assert markers.open_end("x" + marker[:length]) == 1
        assert markers.open_end("x" + marker[:length] + "\0") == length + 2
    assert marker_set(reasoning=True).may_contain_or_end_in_marker(marker)
    assert markers.open_end(marker) == len(marker)
    assert markers.pattern.fullmatch(marker)


@pytest.mark.parametrize("text", ["", "a", "< a", "[1]", "a <b", "]", "E"])
def test_most_text_holds_no_marker(text: str) -> None:
    assert not marker_set(reasoning=True).may_contain_or_end_in_marker(text)
    assert marker_set(reasoning=True).open_end(text) == len(text)


def test_reasoning_markers_are_markers_only_on_request() -> None:
    assert not marker_set(reasoning=False).pattern.search("<think></think>")
    assert marker_set(reasoning=False).open_end("<thin") == 5
