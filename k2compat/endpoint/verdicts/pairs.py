"""Comparisons of two answers: whole and streamed, native and foreign history."""

from collections.abc import Mapping
from typing import Any

from k2compat.endpoint.reading.answer import Answer
from k2compat.endpoint.verdicts.calls import is_as_asked, value_of

Answers = Mapping[str, Answer]


def judge_pairs(answers: Answers) -> None:
    """Compare answers with each other; observations go to the second of a pair."""
    for name, stream in answers.items():
        whole = answers.get(f"{stream.request.case}.whole")
        if name.endswith(".stream") and whole is not None:
            _judge_forms(whole, stream)
    _judge_foreign(answers)


def _judge_forms(whole: Answer, stream: Answer) -> None:
    """Check that whole and streamed answers have the same fields; their words may differ.

    max_tokens may also end a long thought at another place each time.
    """
    if not whole.is_chat or not stream.is_chat or whole.ran_out or stream.ran_out:
        return
    for what, shape in (
        ("other calls", _calls),
        ("another finish_reason", _reason),
        ("other fields", _fields),
    ):
        expected, actual = shape(whole), shape(stream)
        if expected != actual:
            words = f"Streamed, the answer has {what} than whole."
            stream.observe("stream-differs", words, expected, actual)
            return


def _calls(answer: Answer) -> list[Any]:
    # Other verdicts judge the ids, and a cut call ends at another place each time.
    if answer.request.case == "cut":
        return [call.name for call in answer.calls]
    return [(call.name, value_of(call)) for call in answer.calls]


def _reason(answer: Answer) -> str:
    return answer.finish_reason


def _fields(answer: Answer) -> dict[str, bool]:
    # With calls a model may write a sentence or none.
    return {} if answer.calls else {"content": bool(answer.content.strip())}


def _judge_foreign(answers: Answers) -> None:
    """Find that the model acts on a history with native ids, but not with foreign ids."""
    native = answers.get("next.whole")
    if native is None or not is_as_asked(native):
        return
    for name, answer in answers.items():
        is_whole = answer.is_chat and not answer.ran_out
        if name.startswith("foreign") and is_whole and not answer.calls:
            words = "With a foreign call id in the history the model makes no call."
            answer.observe("history-ids-not-renamed", words, "a call", answer.content)
