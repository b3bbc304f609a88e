"""A whole answer without a marker takes a short way; it comes out as on the long one."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k2compat.gateway import Exchange, Options
from k2compat.gateway.reading import ChoiceReading
from tests.gateway.servers import completion
from tests.gateway.support import USER, request, tool

PIECES = (
    *("functions.", "functions.f:0", '{"a": 1}', "<", "<|tool_call_begin|>", "<think>", "</think>"),
    *("[EOS]", "[EOT]", "[", "]", "|", "\u2060", "\n", " ", "a", "天", "\ud800", "<|open|>"),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(max_size=20)
REQUESTS = st.fixed_dictionaries(
    {"stream": st.booleans()},
    optional={
        "tools": st.just([tool()]),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
        "parallel_tool_calls": st.booleans(),
        "messages": st.just([{"role": "user", "content": "<|im_end|>"}]),
    },
)
MESSAGES = st.fixed_dictionaries(
    {"content": TEXTS | st.none()},
    optional={
        "reasoning_content": TEXTS | st.none(),
        "reasoning": TEXTS | st.none(),
        "tool_calls": st.sampled_from([None, [], [{"id": "x"}]]),
        "refusal": st.none() | st.text(max_size=2),
    },
)
REASONS = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "odd", None])
OPTIONS = st.fixed_dictionaries(
    {
        "reasoning": st.sampled_from(["auto", "off", "tagged", "prefilled"]),
        "recover_stripped": st.booleans(),
    }
)


def answered(body: Any, answer: Any, options: Any) -> tuple[object, ...]:
    made = Exchange(json.dumps(body).encode(), Options(**options), answer_id="own", created=7)
    made.begin(200, "application/json")
    written = made.receive(json.dumps(answer).encode()) + made.finish()
    return written, made.head, made.problems, made.calls


@given(REQUESTS, MESSAGES, REASONS, OPTIONS)
@example({"stream": True}, {"content": "[["}, "stop", {"reasoning": "auto"})
def test_both_ways_write_the_same(asked: Any, message: Any, reason: Any, options: Any) -> None:
    body, answer = request(**asked), completion(message, reason)
    short = answered(body, answer, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChoiceReading, "take_plain", lambda *_arguments: None)
        assert short == answered(body, answer, options)


def test_plain_text_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChoiceReading, "feed", None)
    written, *_ = answered(request(USER), completion({"content": "Rain."}), {})
    assert json.loads(written)["choices"][0]["message"]["content"] == "Rain."  # type: ignore[arg-type]
