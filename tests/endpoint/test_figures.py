"""Moonshot's two figures: equal to the verifier's formulas, with intervals that hold."""

import json
import random
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from k2compat.endpoint import Answer, AnsweredCall, Request, plan
from k2compat.endpoint.figures import (
    Figures,
    Share,
    figures_of,
    schemas_of,
    wilson,
)
from k2compat.endpoint.sample_files import read_baseline, read_samples
from k2compat.errors import RefusedError
from tests.endpoint.faulty.calls import NumbersAsText
from tests.endpoint.serving import checked
from tests.endpoint.standin import Server


def tool(name: str, **function: Any) -> Any:
    return {"type": "function", "function": {"name": name, **function}}


NUMBER: Any = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOL: Any = tool("f", parameters=NUMBER)
TOOLS: Any = [
    TOOL,
    tool("f", parameters=False),  # the first tool of a name counts
    tool("none"),
    tool("blank", parameters={}),
    tool("any", parameters=True),
    tool("broken", parameters={"type": 7}),
    tool("elsewhere", parameters={"$ref": "https://schema.invalid/a.json"}),
    tool(
        "list",
        parameters={"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": NUMBER}},
    ),
    tool("old", parameters={"$schema": "http://json-schema.org/draft-04/schema#", **NUMBER}),
]
NAMES = [*dict.fromkeys(each["function"]["name"] for each in TOOLS), "undeclared"]
ARGUMENTS: list[Any] = [
    *('{"n": 1}', '{"n": "1"}', "{}", '{"n": 2.0}', "[1]", '{"n":', '{"n": 3, "m": 0}', ""),
    *('[{"n": 4}]', '[{"n": 4}, {}]', '{"n": NaN}', "7", "[" * 5000),
    *({"n": 5}, {"n": "5"}, None),
]


def recorded_answers(count: int = 200) -> tuple[dict[str, Answer], dict[str, str]]:
    """Answers and a baseline, made up: half of the calls fit."""
    chance = random.Random(20260115)
    answers, baseline = {}, {}
    for number in range(1, count + 1):
        name = f"sample-{number}"
        request = Request(
            name=name, purpose="", body={"messages": [], "tools": TOOLS}, is_sample=True
        )
        calls = tuple(
            AnsweredCall("functions.f:0", "f", '{"n": 1}')
            if chance.random() < 0.5
            else AnsweredCall("functions.f:0", chance.choice(NAMES), chance.choice(ARGUMENTS))
            for _ in range(chance.randint(0, 2))
        )
        reason = "tool_calls" if calls else chance.choice(["stop", "length", "tool_calls"])
        answers[name] = Answer(request, calls=calls, finish_reason=reason)
        baseline[name] = chance.choice(["tool_calls", reason, "stop"])
    return answers, baseline


def verifier_accepts(call: AnsweredCall, tools: Any) -> bool:
    """The verifier's rule with the library that it uses; whatever goes wrong is no."""
    try:
        function = next(each["function"] for each in tools if each["function"]["name"] == call.name)
        schema, value = function["parameters"], call.arguments
        jsonschema.validate(json.loads(value) if isinstance(value, str) else value, schema)
    except Exception:  # noqa: BLE001 - as the verifier does
        return False
    return bool(schema)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=repr)
def test_a_call_counts_where_it_counts_for_the_verifier(name: str, arguments: Any) -> None:
    call = AnsweredCall("", name, arguments)
    request = Request(name="sample-1", purpose="", body={"tools": TOOLS}, is_sample=True)
    answer = Answer(request, calls=(call,), finish_reason="tool_calls")
    assert figures_of({"sample-1": answer}, {}).valid == verifier_accepts(call, TOOLS)


def test_both_equal_the_verifiers_formulas_on_200_answers() -> None:
    answers, baseline = recorded_answers()
    true_positive = false_positive = false_negative = calling = valid = 0
    for name, answer in answers.items():
        called = answer.finish_reason == "tool_calls"
        wanted = baseline[name] == "tool_calls"
        true_positive += called and wanted
        false_positive += called and not wanted
        false_negative += wanted and not called
        calling += called
        accepted = [verifier_accepts(call, TOOLS) for call in answer.calls]
        valid += called and bool(accepted) and all(accepted)
    precision = true_positive / (true_positive + false_positive)
    recall = true_positive / (true_positive + false_negative)
    figures = figures_of(answers, baseline)
    assert figures.answered == 200
    assert figures.trigger_similarity is not None
    f1 = 2 * precision * recall / (precision + recall)
    assert figures.trigger_similarity.value == pytest.approx(f1)
    assert figures.schema_accuracy is not None
    assert figures.schema_accuracy.value == valid / calling
    assert 0 < valid < calling < 200


def test_an_interval_holds_the_true_share_in_95_of_100_cases() -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(1000):
        hits = sum(chance.random() < 0.8 for _ in range(150))
        share = wilson(hits, 150)
        assert share is not None
        held += share.low <= 0.8 <= share.high
    assert 930 <= held <= 970


@pytest.mark.parametrize(("hits", "all_"), [(0, 5), (5, 5), (1, 1)])
def test_an_interval_stays_between_0_and_1(hits: int, all_: int) -> None:
    share = wilson(hits, all_)
    assert share is not None
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_there_is_no_figure_of_nothing() -> None:
    nothing = Figures(0, 0, 0, 0, 0, 0)
    assert nothing.as_dict() | {"answered": None} == {
        "answered": None,
        "calls": 0,
        "valid": 0,
        "true_positive": 0,
        "false_positive": 0,
        "false_negative": 0,
        "trigger_similarity": None,
        "schema_accuracy": None,
    }
    assert schemas_of({}) is None


def test_samples_without_an_answer_or_a_baseline_do_not_count() -> None:
    answers, baseline = recorded_answers(4)
    answers["sample-1"].is_chat = False
    del baseline["sample-2"]
    figures = figures_of(answers | {"one.whole": Answer(plan()[0])}, baseline)
    assert figures.answered == 3
    assert figures.true_positive + figures.false_positive + figures.false_negative <= 2


def test_a_sample_without_usable_tools_has_no_valid_call() -> None:
    call = AnsweredCall("functions.f:0", "f", "{}")
    for tools in (None, 7, [7, {"type": "function"}, {"function": 7}]):
        request = Request(name="sample-1", purpose="", body={"tools": tools}, is_sample=True)
        answer = Answer(request, calls=(call,), finish_reason="tool_calls")
        assert figures_of({"sample-1": answer}, {}).valid == 0


def test_samples_keep_their_own_fields(tmp_path: Path) -> None:
    line = {"messages": [], "model": "m", "stream": True, "temperature": 0.6, "tools": [TOOL]}
    past = {"role": "assistant", "tool_calls": [{}, {}]}
    lines = [line, {"data_index": 9, "request": {"messages": [past, 7], "tools": None}}]
    path = tmp_path / "samples.jsonl"
    path.write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    first, second = read_samples(path)
    assert (first.name, second.name) == ("sample-1", "sample-9")
    assert first.body == {
        **{name: value for name, value in line.items() if name != "model"},
        "stream_options": {"include_usage": True},
    }
    assert first.streams
    assert second.body == {"messages": [past, 7], "tools": None}
    assert second.calls_before == 2
    assert not second.tools


def test_samples_are_sent_as_the_verifier_sends_them(tmp_path: Path) -> None:
    user = {"role": "user", "content": "hello"}
    line = {
        "messages": [{"role": "_input", "content": "be brief"}, user, 7],
        "stream": True,
        "stream_options": {"include_usage": False, "x": 1},
    }
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps(line))
    (sample,) = read_samples(path)
    assert sample.body == {
        **line,
        "messages": [{"role": "system", "content": "be brief"}, user, 7],
    }


def test_the_last_run_of_a_sample_counts(tmp_path: Path) -> None:
    def row(index: int, second: int, reason: str | None, status: str = "success") -> str:
        run_at = f"2025-11-15T10:00:{second:02}.123456"
        return json.dumps(
            {
                "data_index": index,
                "finish_reason": reason,
                "status": status,
                "last_run_at": run_at,
            }
        )

    path = tmp_path / "results.jsonl"
    rows = [
        *(row(1, 9, "tool_calls"), row(1, 2, "stop")),
        *(row(2, 1, "tool_calls"), row(2, 5, None, "failed")),
        *(row(3, 1, None, "failed"), row(3, 5, "length")),
    ]
    path.write_text("\n".join(rows))
    assert read_baseline(path) == {"sample-1": "tool_calls", "sample-3": "length"}


def test_the_baseline_is_the_verifiers_file(tmp_path: Path) -> None:
    lines = [
        {"data_index": 1, "finish_reason": "tool_calls", "status": "success"},
        {"data_index": 2, "finish_reason": None, "status": "failed"},
        {"data_index": 3, "finish_reason": None},
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert read_baseline(path) == {"sample-1": "tool_calls", "sample-3": ""}


@pytest.mark.parametrize("text", ["{", "[]", '{"messages": 1}', '{"request": 1}'])
def test_a_line_that_is_no_sample_is_refused_with_its_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(f'{{"messages": []}}\n{text}\n')
    with pytest.raises(RefusedError, match="line 2") as caught:
        read_samples(path)
    assert caught.value.code == "samples-malformed"


def test_a_baseline_with_another_finish_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"finish_reason": 1}')
    with pytest.raises(RefusedError, match="line 1 has a finish_reason that is no text"):
        read_baseline(path)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be read"):
        read_samples(tmp_path / "absent")


def test_forced_calls_of_60_schemas_are_a_share() -> None:
    requests = [request for request in plan(schemas=True) if request.name.startswith("schema-")]
    assert len(requests) == 120
    right = schemas_of(checked(Server(), requests).judgement.answers)
    assert right is not None
    assert right.low == pytest.approx(0.969, abs=1e-3)
    assert right == Share(1.0, right.low, 1.0)
    assert schemas_of(checked(NumbersAsText(), requests).judgement.answers) is not None
