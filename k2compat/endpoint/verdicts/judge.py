"""The judgement of all answers of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.reading.answer import Answer, Observation, Recording
from k2compat.endpoint.reading.read import read_answer
from k2compat.endpoint.verdicts.calls import is_as_asked, judge_calls
from k2compat.endpoint.verdicts.causes import report_of
from k2compat.endpoint.verdicts.choice import judge_choice
from k2compat.endpoint.verdicts.counts import judge_counts, judge_usage
from k2compat.endpoint.verdicts.pairs import judge_pairs
from k2compat.endpoint.verdicts.texts import judge_text
from k2compat.endpoint.verdicts.thinking import judge_thinking
from k2compat.findings import Report
from k2compat.printable import counted


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of a run.

    Attributes:
        report: the findings.
        answers: the answers by the names of their requests.
        calls_asked: how many answers should hold calls.
        calls_as_asked: how many of them hold exactly those.
    """

    report: Report
    answers: Mapping[str, Answer]
    calls_asked: int
    calls_as_asked: int

    @property
    def prompt_tokens(self) -> int:
        """All prompt tokens that the server counted."""
        return sum(answer.count("prompt_tokens") or 0 for answer in self.answers.values())

    @property
    def completion_tokens(self) -> int:
        """All written tokens that the server counted."""
        return sum(answer.count("completion_tokens") or 0 for answer in self.answers.values())


def judge(
    requests: Iterable[Request],
    recordings: Mapping[str, Recording],
    *,
    typescript: bool = False,
    prompt_tokens: Mapping[str, int] | None = None,
) -> Judgement:
    """Judge the answers.

    Args:
        requests: the requests.
        recordings: the recorded answers by the requests' names; a missing one was left out for
            the budget.
        typescript: whether the model's template declares tools in TypeScript.
        prompt_tokens: the exact number of prompt tokens by request, where it is known.
    """
    asked_for = tuple(requests)
    answers = {
        request.name: read_answer(request, recordings[request.name])
        for request in asked_for
        if request.name in recordings
    }
    for answer in filter(_is_chat, answers.values()):
        if answer.request.body.get("max_tokens") != 1:
            judge_text(answer)
            judge_calls(answer)
            judge_choice(answer)
            judge_thinking(answer)
    judge_usage(answers)
    judge_counts(answers, typescript=typescript)
    judge_pairs(answers)
    _judge_prompts(answers, prompt_tokens or {})
    asked = [answer for answer in answers.values() if _asks_for_calls(answer)]
    skipped = [request.name for request in asked_for if request.name not in recordings]
    observations = [each for answer in answers.values() for each in answer.observations]
    if asked and not any(answer.calls for answer in answers.values()):
        words = f"No call in {counted(len(asked), 'answer')}: nothing is known about calls."
        observations.append(Observation("no-call-made", "", words))
    words = "The token budget left requests out."
    observations += [Observation("budget-reached", name, words) for name in skipped]
    right = sum(is_as_asked(answer) for answer in asked)
    return Judgement(report_of(observations), answers, len(asked), right)


def _is_chat(answer: Answer) -> bool:
    return answer.is_chat


def _asks_for_calls(answer: Answer) -> bool:
    return bool(answer.request.wants) and answer.request.case != "cut"


def _judge_prompts(answers: Mapping[str, Answer], expected: Mapping[str, int]) -> None:
    for name, count in expected.items():
        actual = answers[name].count("prompt_tokens") if name in answers else None
        if actual is not None and actual != count:
            words = "The prompt has another number of tokens than the folder's template gives."
            answers[name].observe("prompt-tokens-differ", words, count, actual)
