"""Moonshot's two figures for a vendor, by the formulas of K2-Vendor-Verifier.

*Trigger similarity* is the F1 score of "the answer ends with tool_calls" against the baseline's
answers to the same requests. *Schema accuracy* is the share of the answers that end with
tool_calls whose every call names a declared tool and fits its schema.
Source: tool_calls_eval.py and README of MoonshotAI/K2-Vendor-Verifier.

The verifier gives no intervals. Schema accuracy is a share, so Wilson's interval holds for it. F1
is 2J / (1 + J) of the share J = TP / (TP + FP + FN), and grows with it, so its interval is that of
J, carried over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Final, NamedTuple

from k2compat.arguments import check
from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.reading.answer import Answer
from k2compat.endpoint.reading.whole import objects
from k2compat.errors import RefusedError
from k2compat.gateway import InvalidJsonError, decode

_Z: Final = 1.959963984540054
"""Of the normal distribution, for 95 %."""
_OWN_FIELDS: Final = ("model", "stream", "stream_options")


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
    """A share with Wilson's 95 % interval; None of nothing."""
    if not all_:
        return None
    share, square = hits / all_, _Z * _Z
    middle = share + square / (2 * all_)
    half = _Z * sqrt(share * (1 - share) / all_ + square / (4 * all_ * all_))
    whole = 1 + square / all_
    # Rounding may leave 0 of 0 or 1 of 1 outside of its own interval.
    low, high = (middle - half) / whole, (middle + half) / whole
    return Share(share, max(0.0, min(low, share)), min(1.0, max(high, share)))


def read_samples(path: Path) -> list[Request]:
    """The samples: a chat request on each line, or one under `request`.

    Their fields stay as they are; only model and stream are the check's own.

    Raises:
        RefusedError: samples-malformed, a line is no chat request.
    """
    requests = []
    for number, line in _lines(path):
        body = line.get("request", line)
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list):
            raise _malformed(path, number, "holds no chat request")
        kept = {name: value for name, value in body.items() if name not in _OWN_FIELDS}
        requests.append(
            Request(
                name=f"sample-{_index_of(line, number)}",
                purpose="a sample",
                body=kept,
                calls_before=sum(len(objects(m.get("tool_calls"))) for m in objects(messages)),
                is_sample=True,
            )
        )
    return requests


def read_baseline(path: Path) -> dict[str, str]:
    """The baseline's finish reasons by the name of the sample.

    Raises:
        RefusedError: samples-malformed, a line has no finish_reason.
    """
    reasons = {}
    for number, line in _lines(path):
        reason = line.get("finish_reason", "")
        if reason is not None and not isinstance(reason, str):
            raise _malformed(path, number, "has a finish_reason that is no text")
        if line.get("status", "success") == "success":
            reasons[f"sample-{_index_of(line, number)}"] = reason or ""
    return reasons


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
    tools = answer.request.tools
    return bool(answer.calls) and all(
        call.name in tools and _fits(call.arguments, tools[call.name]) for call in answer.calls
    )


def _fits(arguments: Any, tool: Mapping[str, Any]) -> bool:
    try:
        return isinstance(arguments, str) and not check(arguments, tool)
    except RefusedError:  # the sample's own schema is broken
        return False


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _object(path, number, line)
    except OSError as error:
        raise RefusedError(
            "samples-malformed", f"{path} cannot be read: {error.strerror}.", hint=f"ls -l {path}"
        ) from None


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = decode(line)
    except InvalidJsonError:
        value = None
    if not isinstance(value, dict):
        raise _malformed(path, number, "is no JSON object")
    return value


def _index_of(line: Mapping[str, Any], number: int) -> int:
    index = line.get("data_index")
    return index if type(index) is int else number


def _malformed(path: Path, number: int, what: str) -> RefusedError:
    return RefusedError(
        "samples-malformed",
        f"{path}, line {number} {what}.",
        hint="k2compat explain samples-malformed",
    )
