"""Moonshot's two figures for a vendor, by the formulas of K2-Vendor-Verifier.

*Trigger similarity* is the F1 score of "the answer ends with tool_calls" against the baseline's
answers to the same requests. *Schema accuracy* is the share of the answers that end with
tool_calls whose every call names a declared tool and fits its schema.
Source: tool_calls_eval.py (`compute_summary`, `validate_tool_call`) and README ("Evaluation
Metrics") of MoonshotAI/K2-Vendor-Verifier at 0bc5061. Its README leaves open whether a failed
request counts in F1; here it does not.

The verifier gives no intervals. Schema accuracy is a share, so it has Wilson's interval. F1 is
2J / (1 + J) of the share J = TP / (TP + FP + FN) and grows with J, so the ends of J's interval give
those of F1.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final, NamedTuple, NoReturn

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.reading.answer import Answer, AnsweredCall
from k2compat.endpoint.reading.whole import objects

_Z: Final = 1.959963984540054
"""Of the normal distribution, for 95 %."""


class Share(NamedTuple):
    """A figure from 0 to 1 with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The two figures, and what they are made of.

    Attributes:
        answered: how many samples got an answer.
        calls: how many answers end with tool_calls.
        valid: how many of those have only calls that fit their schemas.
        true_positive: both end with tool_calls.
        false_positive: the endpoint's answer does, the baseline's does not.
        false_negative: the baseline's does, the endpoint's does not.
    """

    answered: int
    calls: int
    valid: int
    true_positive: int
    false_positive: int
    false_negative: int

    @property
    def schema_accuracy(self) -> Share | None:
        """Valid answers among those with calls; None where there are none."""
        return wilson(self.valid, self.calls)

    @property
    def trigger_similarity(self) -> Share | None:
        """The F1 score; None where neither side ever calls a tool."""
        right = self.true_positive
        jaccard = wilson(right, right + self.false_positive + self.false_negative)
        return jaccard and Share(*(2 * share / (1 + share) for share in jaccard))

    def as_dict(self) -> dict[str, Any]:
        """The figures for a JSON document."""
        similarity, accuracy = self.trigger_similarity, self.schema_accuracy
        return {
            "answered": self.answered,
            "calls": self.calls,
            "valid": self.valid,
            "true_positive": self.true_positive,
            "false_positive": self.false_positive,
            "false_negative": self.false_negative,
            "trigger_similarity": similarity and similarity._asdict(),
            "schema_accuracy": accuracy and accuracy._asdict(),
        }


def wilson(hits: int, all_: int) -> Share | None:
    """A share with Wilson's 95 % interval; None if the total is 0."""
    if not all_:
        return None
    share, square = hits / all_, _Z * _Z
    middle = share + square / (2 * all_)
    half = _Z * sqrt(share * (1 - share) / all_ + square / (4 * all_ * all_))
    whole = 1 + square / all_
    # Rounding may leave 0 of 0 or 1 of 1 outside of its own interval.
    low, high = (middle - half) / whole, (middle + half) / whole
    return Share(share, max(0.0, min(low, share)), min(1.0, max(high, share)))


def figures_of(answers: Mapping[str, Answer], baseline: Mapping[str, str]) -> Figures:
    """The figures of the samples that both sides answered.

    Args:
        answers: the endpoint's answers by the samples' names; others are left out.
        baseline: as `read_baseline` returns it.
    """
    answered = {
        name: answer
        for name, answer in answers.items()
        if answer.request.is_sample and answer.is_chat
    }
    calling = {name for name, answer in answered.items() if answer.finish_reason == "tool_calls"}
    compared = answered.keys() & baseline.keys()
    wanted = {name for name in compared if baseline[name] == "tool_calls"}
    both = compared & calling
    return Figures(
        answered=len(answered),
        calls=len(calling),
        valid=sum(_is_valid(answered[name]) for name in calling),
        true_positive=len(both & wanted),
        false_positive=len(both - wanted),
        false_negative=len(wanted - calling),
    )


def schemas_of(answers: Mapping[str, Answer]) -> Share | None:
    """The share of the forced calls of --schemas that fit; None where there were none."""
    forced = [answer for name, answer in answers.items() if name.startswith("schema-")]
    return wilson(sum(map(_is_valid, forced)), len(forced))


def _is_valid(answer: Answer) -> bool:
    """Whether each call names a declared tool and fits its schema; no call is not valid."""
    return bool(answer.calls) and all(_fits(call, answer.request) for call in answer.calls)


def _fits(call: AnsweredCall, request: Request) -> bool:
    """Whether the verifier accepts a call.

    `k2compat.arguments.check` differs: it requires an object, and accepts any object for a tool
    without a schema. The verifier uses only the schema, and refuses a call of a tool without one.
    """
    import jsonschema_rs

    schema = _schema_of(call.name, request)
    if not schema:
        return False
    try:
        value = json.loads(call.arguments) if isinstance(call.arguments, str) else call.arguments
        return jsonschema_rs.validator_for(schema, retriever=_fetch_nothing).is_valid(value)
    except (TypeError, ValueError, RecursionError):  # no JSON, or the sample's schema is broken
        return False


def _schema_of(name: str, request: Request) -> Any:
    """The parameters of the first tool of that name; None where there are none."""
    for tool in objects(request.body.get("tools")):
        function = tool.get("function")
        if isinstance(function, dict) and function.get("name") == name:
            return function.get("parameters")
    return None


def _fetch_nothing(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not part of the schema, and nothing is fetched")
