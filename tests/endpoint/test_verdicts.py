"""Verdicts that the zoo does not show: causes and consequences, and what is no fault."""

from dataclasses import replace
from typing import Any

import pytest

from k2compat.endpoint import Answer, AnsweredCall, Request, judge, plan
from k2compat.endpoint.asking.wanted import LARGE, PARIS
from k2compat.endpoint.reading.answer import Observation
from k2compat.endpoint.verdicts.calls import is_as_asked, judge_calls, value_of
from k2compat.endpoint.verdicts.causes import report_of
from k2compat.endpoint.verdicts.counts import judge_counts, judge_usage
from k2compat.endpoint.verdicts.texts import judge_text
from tests.endpoint.faulty.texts import NoParser
from tests.endpoint.serving import causes, judged, recorded
from tests.endpoint.standin import Call, Json, Reply, Server

REQUESTS = {request.name: request for request in plan(deep=True)}


def seen(*observations: tuple[str, str]) -> list[tuple[str, str, str | None]]:
    """Code, severity and cause of each finding."""
    report = report_of(Observation(code, request, "x") for code, request in observations)
    return [(finding.code, finding.severity, finding.because) for finding in report]


def test_a_consequence_is_an_info_that_names_its_cause() -> None:
    assert seen(("tool-choice-required-ignored", "a.whole"), ("markers-leaked", "a.whole")) == [
        ("markers-leaked", "error", None),
        ("tool-choice-required-ignored", "info", "markers-leaked"),
    ]


def test_both_forms_of_a_case_have_the_same_causes() -> None:
    found = seen(("stream-differs", "a.stream"), ("markers-leaked", "a.whole"))
    assert found[1] == ("stream-differs", "info", "markers-leaked")


def test_another_case_explains_nothing() -> None:
    found = seen(("stream-differs", "a.stream"), ("markers-leaked", "b.whole"))
    assert [because for _, _, because in found] == [None, None]


def test_what_explains_everything_does_so_across_cases() -> None:
    found = seen(("usage-wrong", "a.whole"), ("content-list-printed", "plain-list"))
    assert found[1] == ("content-list-printed", "info", "usage-wrong")


def test_a_chain_ends_at_its_beginning() -> None:
    found = seen(
        ("stream-differs", "a.stream"),
        ("finish-reason-missing", "a.stream"),
        ("answer-cut", "a.stream"),
    )
    assert found[1:] == [
        ("stream-differs", "info", "answer-cut"),
        ("finish-reason-missing", "info", "answer-cut"),
    ]


def test_a_warning_hides_no_error() -> None:
    found = seen(("stream-differs", "a.stream"), ("arguments-not-object", "a.stream"))
    assert ("stream-differs", "error", None) in found


def test_one_code_is_one_finding_with_all_requests() -> None:
    report = report_of(Observation("usage-wrong", name, "x") for name in ("a", "b", "a"))
    (finding,) = report
    assert (finding.items, finding.count, finding.where) == (("a", "b"), 2, "a, b")


def test_without_any_call_nothing_is_known_about_calls() -> None:
    class Silent(Server):
        def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
            return ()

    judgement = judged(Silent())
    assert "no-call-made" in causes(judgement)
    assert judgement.calls_as_asked == 0
    because = {finding.code: finding.because for finding in judged(NoParser()).report}
    assert because["no-call-made"] == "markers-leaked"


def test_a_disobedient_model_is_no_faulty_server() -> None:
    class Free(Server):
        """Calls for another city, or not at all."""

        def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
            return tuple(
                replace(call, arguments=call.arguments.replace("Paris", "Porto"))
                for call in super().calls(body, orders)
                if call.name != "create_event"
            )

    judgement = judged(Free())
    assert causes(judgement) == []
    assert {finding.code for finding in judgement.report} == {"call-not-made", "call-not-as-asked"}


def test_a_model_that_does_not_begin_a_cut_call_is_no_faulty_server() -> None:
    class Brief(Server):
        def free_reply(self, body: Json) -> Reply:
            if "rivers" in str(body["messages"][-1]["content"]):
                return Reply("No.")
            return super().free_reply(body)

    found = judged(Brief()).report.findings
    assert [(finding.code, finding.items) for finding in found] == [
        ("call-not-made", ("cut.whole", "cut.stream"))
    ]


def answered(name: str, *calls: AnsweredCall, **fields: Any) -> Answer:
    return Answer(REQUESTS[name], calls=calls, **{"finish_reason": "tool_calls", **fields})


def codes(answer: Answer) -> list[str]:
    return [observation.code for observation in answer.observations]


def test_a_named_choice_may_end_with_stop_as_openais_does() -> None:
    call = AnsweredCall("functions.get_weather:0", PARIS.name, PARIS.arguments_text)
    answer = answered("named.whole", call, finish_reason="stop")
    judge_calls(answer)
    assert codes(answer) == []


def test_a_call_that_max_tokens_cuts_need_not_be_json() -> None:
    call = AnsweredCall("functions.write_file:0", LARGE.name, LARGE.arguments_text[:99])
    answer = answered("large.stream", call, finish_reason="length")
    judge_calls(answer)
    assert codes(answer) == ["call-not-as-asked"]


def test_arguments_are_compared_as_values() -> None:
    for text, right in (('{"city":"Paris"}', True), ('{"city": "Rome"}', False), ("{", False)):
        call = AnsweredCall("functions.get_weather:0", "get_weather", text)
        assert is_as_asked(answered("one.whole", call)) is right
    assert value_of(AnsweredCall("", "", {"a": 1})) == {"a": 1}


@pytest.mark.parametrize("content", ["{", "[1]", '{"name": 1, "arguments": {}}', "7 {}", "a [b"])
def test_json_in_the_content_is_no_call_by_itself(content: str) -> None:
    answer = answered("one.whole", content=content, finish_reason="stop")
    judge_text(answer)
    assert codes(answer) == []


@pytest.mark.parametrize(
    "content",
    [
        '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>',
        '[{"function": {"name": "get_time", "arguments": "{}"}}]',
    ],
)
def test_calls_in_other_formats_are_named(content: str) -> None:
    answer = answered("one.whole", content=content, finish_reason="stop")
    judge_text(answer)
    assert codes(answer) == ["call-as-json-text"]


def test_a_thought_that_is_all_of_an_answer_with_thinking_on_is_the_models() -> None:
    request = REQUESTS["thinking-on.stream"]
    answer = Answer(request, reasoning="hm", finish_reason="stop")
    judge_text(answer)
    assert codes(answer) == []


def test_counts_that_are_missing_compare_nothing() -> None:
    answers = {name: Answer(REQUESTS[name]) for name in ("plain-list", "plain.whole")}
    judge_counts(answers, typescript=True)
    answers["plain.whole"].usage = {"prompt_tokens": 3}
    judge_counts(answers, typescript=True)
    large = Answer(REQUESTS["large.stream"], usage={"prompt_tokens": "many"})
    judge_usage({**answers, "large.stream": large})
    assert [codes(answer) for answer in answers.values()] == [[], ["usage-wrong"]]
    assert codes(large) == ["usage-wrong"]


def test_text_without_completion_tokens_is_named() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}
    answer = Answer(REQUESTS["plain.whole"], content="x", usage=usage)
    judge_usage({"plain.whole": answer})
    assert codes(answer) == ["usage-wrong"]


def test_only_the_newer_models_are_expected_to_use_typescript() -> None:
    class AsJson(Server):
        def tools_text(self, tools: list[Json]) -> str:
            return str(tools)

    requests = plan()
    recordings = recorded(AsJson(), requests)
    assert causes(judge(requests, recordings, typescript=False)) == []
    assert causes(judge(requests, recordings, typescript=True)) == ["tools-as-json"]


def test_deep_checks_find_more_places_where_markers_act() -> None:
    class Acting(Server):
        def content_text(self, content: Any) -> str:
            text = super().content_text(content)
            return text.replace("<|im_system|>", "X").replace("[EOS]", "X")

    requests = plan(deep=True)
    (finding,) = judge(requests, recorded(Acting(), requests)).report
    assert finding.code == "marker-text-acts"
    assert finding.items == ("marker-system", "marker-end-of-text")


def test_a_request_without_a_name_stands_for_itself() -> None:
    request = Request(name="r", purpose="", body={"max_tokens": -1})
    assert request.case == "r"
    assert request.estimated_tokens == request.estimated_prompt_tokens


def test_a_thought_that_max_tokens_ends_is_no_difference_of_the_stream() -> None:
    class Rambling(Server):
        """Thinks until the limit, where the answer is streamed or the history has foreign ids."""

        def reply(self, body: Json) -> Reply:
            reply = super().reply(body)
            if body["max_tokens"] > 100 and (body.get("stream") or "call_" in str(body)):
                return Reply(reasoning="hm", reason="length", written=body["max_tokens"])
            return reply

    assert causes(judged(Rambling())) == []
