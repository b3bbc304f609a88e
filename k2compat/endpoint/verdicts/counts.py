"""Comparisons of prompt-token counts: of prompts that should be equal, or should differ."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from k2compat.endpoint.asking.build import MARKERS_EACH
from k2compat.endpoint.reading.answer import Answer
from k2compat.printable import counted

Answers = Mapping[str, Answer]


class _Comparison(NamedTuple):
    """Two requests whose prompt tokens are compared.

    Attributes:
        code: the finding if the counts are wrong.
        request: the request whose prompt is judged.
        measure: the request that it is compared with.
        is_wrong: whether two counts, in that order, are wrong.
        message: one sentence.
    """

    code: str
    request: str
    measure: str
    is_wrong: Callable[[int, int], bool]
    message: str


def _differs(count: int, measure: int) -> bool:
    return count != measure


def _is_more(count: int, measure: int) -> bool:
    return count > measure


def _is_no_more(count: int, measure: int) -> bool:
    return count <= measure


def _lacks_text(count: int, measure: int) -> bool:
    """A marker's text has three tokens or more; the marker has one."""
    return measure - count > MARKERS_EACH


COMPARISONS: Final = (
    _Comparison(
        "content-list-printed",
        "plain-list",
        "plain.whole",
        _differs,
        "Content as a list of parts makes another prompt than the same text as a string.",
    ),
    _Comparison(
        "content-null-printed",
        "next-null",
        "next.whole",
        _is_more,
        "Content null in a turn with calls takes more prompt tokens than an empty string.",
    ),
    _Comparison(
        "thought-null-printed",
        "thought-null",
        "thought-empty",
        _is_more,
        "A thought that is null takes more prompt tokens than an empty one.",
    ),
    _Comparison(
        "tools-not-in-prompt",
        "tools",
        "plain.whole",
        _is_no_more,
        "A request that declares tools has no more prompt tokens than one without.",
    ),
    _Comparison(
        "content-list-printed",
        "next-list",
        "next.whole",
        _differs,
        "A tool result as a list of parts makes another prompt than the same text as a string.",
    ),
)

_MARKERS: Final = ("user", "result", "section", "call", "system", "end-of-text")


def judge_counts(answers: Answers, *, typescript: bool) -> None:
    """Compare the prompt tokens of answers.

    Args:
        answers: by the names of their requests.
        typescript: whether the model's template declares tools in TypeScript (K2.5 and later).
    """
    for comparison in COMPARISONS:
        _compare(answers, comparison)
    for place in _MARKERS:
        words = "A marker's text in the conversation acts as the marker."
        name, measure = f"marker-{place}", f"harmless-{place}"
        _compare(answers, _Comparison("marker-text-acts", name, measure, _lacks_text, words))
    if typescript:
        words = "The tools are declared in JSON, and this model was trained on TypeScript."
        _compare(answers, _Comparison("tools-as-json", "tools-noted", "tools", _is_more, words))
    if _thinks(answers):
        words = "A thought of an open tool loop adds no prompt tokens: it is dropped."
        names = ("thought-kept", "thought-empty")
        _compare(answers, _Comparison("thoughts-dropped", *names, _is_no_more, words))


def judge_usage(answers: Answers) -> None:
    """Judge the token counts of each answer, and of whole and streamed answers together."""
    for name, answer in answers.items():
        if answer.usage is None or not answer.is_chat:
            continue
        _judge_sum(answer)
        whole = answers.get(f"{answer.request.case}.whole")
        if name.endswith(".stream") and whole is not None and whole.usage is not None:
            expected, actual = whole.count("prompt_tokens"), answer.count("prompt_tokens")
            if expected != actual:
                words = "Whole and streamed, the same prompt has different token counts."
                answer.observe("usage-wrong", words, expected, actual)
    _judge_growth(answers)


def _judge_sum(answer: Answer) -> None:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    prompt, completion, total = map(answer.count, names)
    if prompt is None or completion is None or total is None:
        words = "A token count is missing or no whole number."
        answer.observe("usage-wrong", words, ", ".join(names), answer.usage)
    elif prompt + completion != total:
        words = "The token counts do not add up."
        answer.observe("usage-wrong", words, f"{prompt} + {completion}", total)
    elif completion == 0 and (answer.content or answer.calls):
        words = "An answer with text has no completion tokens."
        answer.observe("usage-wrong", words, "more than 0", 0)


def _judge_growth(answers: Answers) -> None:
    """Check that a prompt of 8 kB has more tokens than a prompt of one line."""
    short, large = answers.get("plain.whole"), answers.get("large.stream")
    if short is None or large is None:
        return
    least, count = short.count("prompt_tokens"), large.count("prompt_tokens")
    if least is not None and count is not None and count <= least:
        words = "A prompt of 8 kB has no more prompt tokens than one of a line."
        large.observe("usage-wrong", words, f"more than {least}", count)


def _compare(answers: Answers, comparison: _Comparison) -> None:
    answer, measure = answers.get(comparison.request), answers.get(comparison.measure)
    if answer is None or measure is None:
        return
    count, expected = answer.count("prompt_tokens"), measure.count("prompt_tokens")
    if count is not None and expected is not None and comparison.is_wrong(count, expected):
        answer.observe(
            comparison.code, comparison.message, counted(expected, "token"), counted(count, "token")
        )


def _thinks(answers: Answers) -> bool:
    return any(answer.reasoning for answer in answers.values())
