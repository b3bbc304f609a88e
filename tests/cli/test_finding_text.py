"""A finding's headline begins with its place, in every room's way of writing messages."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.cli.finding_text import finding_texts, sentence
from k2compat.findings import Finding, Report, Severity


@pytest.mark.parametrize(
    ("place", "message", "expected"),
    [
        # A predicate follows its place.
        ("model-3-of-61.safetensors", "is empty", "model-3-of-61.safetensors is empty"),
        ("a/b.gguf", "does not exist; it is named", "a/b.gguf does not exist; it is named"),
        ("a.gguf", "has 3 splits", "a.gguf has 3 splits"),
        # The message repeats the end of the place: it continues it.
        ("line 1: --tp", "--tp has another name.", "line 1: --tp has another name."),
        ("/m/config.json", "config.json is not JSON.", "/m/config.json is not JSON."),
        (
            "x.gguf: tensor blk.0.q.weight",
            "q.weight is F16",
            "x.gguf: tensor blk.0.q.weight is F16",
        ),
        ("vllm", "vllm is not on the PATH.", "vllm is not on the PATH."),
        # The message names the place later: it is enough.
        ("node0", "Port 80 of node0 is taken.", "Port 80 of node0 is taken."),
        # Any other message comes after the place.
        ("TP8", "It does not fit.", "TP8: It does not fit."),
        ("x.gguf: byte 0", "the file is big-endian", "x.gguf: byte 0: the file is big-endian"),
        ("--tp", "--tp-size is its name.", "--tp: --tp-size is its name."),
        ("", "No command starts an engine.", "No command starts an engine."),
    ],
)
def test_the_headline(place: str, message: str, expected: str) -> None:
    assert sentence(place, message) == expected


def test_a_consequence_names_its_cause_and_is_not_joined_with_a_cause() -> None:
    cause = Finding(code="a", severity=Severity.INFO, where="x", message="is empty")
    consequence = replace(cause, where="y", because="b")
    first, second = finding_texts(Report((cause, consequence)))
    assert first.details == ()
    assert second.details == (("because", "b"),)


WORDS = st.text(st.sampled_from("ab-./: "), max_size=12)


@given(WORDS, WORDS)
def test_place_and_message_are_never_lost(place: str, message: str) -> None:
    whole = sentence(place, message)
    assert place in whole
    assert whole.endswith(message)
