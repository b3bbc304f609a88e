"""Whether an answer's calls are those that were asked for, with native ids and whole arguments."""

import re
from collections import Counter
from typing import Any, Final

from k2compat.arguments import check
from k2compat.endpoint.asking.plan import CUT_TOKENS
from k2compat.endpoint.asking.wanted import WantedCall
from k2compat.endpoint.reading.answer import Answer, AnsweredCall
from k2compat.errors import RefusedError
from k2compat.gateway import InvalidJsonError, decode
from k2compat.printable import counted

_NATIVE_ID: Final = re.compile(r"functions\.(?P<name>.+):(?P<number>[0-9]+)")
_MARKER: Final = re.compile(r"<\|[a-z_]+\|>")
_ONE_PIECE: Final = 4
"""A stream of 8 kB in fewer deltas counts as held back."""


def judge_calls(answer: Answer) -> None:
    """Judge the calls of one answer."""
    for call in answer.calls:
        _judge_call(answer, call)
    _judge_ids(answer)
    _judge_repetition(answer)
    if answer.request.case == "cut":
        _judge_cut(answer)
    else:
        _judge_obedience(answer)
        _judge_reason(answer)
    _judge_pieces(answer)


def is_as_asked(answer: Answer) -> bool:
    """Whether the answer holds the calls that were asked for, and no others."""
    return [(call.name, value_of(call)) for call in answer.calls] == [
        (wanted.name, wanted.arguments) for wanted in answer.request.wants
    ]


def value_of(call: AnsweredCall) -> Any:
    """The arguments as a JSON value, or None where they are no JSON text."""
    if not isinstance(call.arguments, str):
        return call.arguments
    try:
        return decode(call.arguments)
    except InvalidJsonError:
        return None


def _judge_call(answer: Answer, call: AnsweredCall) -> None:
    tools = answer.request.tools
    if _MARKER.search(call.name) or _MARKER.search(call.id):
        words = "A call's name or id holds a marker."
        answer.observe("markers-leaked", words, actual=f"{call.name} {call.id}")
    elif call.name not in tools:
        words = "A call names a tool that the request does not declare."
        answer.observe("tool-undeclared", words, ", ".join(tools), call.name)
    if not isinstance(call.arguments, str) or answer.finish_reason == "length":
        return
    value = value_of(call)
    if answer.request.case == "cut":
        return
    if not isinstance(value, dict):
        words = "A call's arguments are not one JSON object."
        answer.observe("arguments-not-object", words, actual=call.arguments)
    elif call.name in tools:
        _judge_arguments(answer, call, value, tools[call.name])


def _judge_arguments(answer: Answer, call: AnsweredCall, value: Any, tool: Any) -> None:
    wanted = next((each for each in answer.request.wants if each.name == call.name), None)
    if wanted is not None and _is_cut(value, wanted):
        words = "A string in a call's arguments ends early."
        expected = counted(len(wanted.arguments_text), "character")
        answer.observe("arguments-cut", words, expected, counted(len(call.arguments), "character"))
    elif wanted is not None and _is_written_as_text(value, wanted):
        words = "A value that the schema wants as an object or a list is JSON text."
        answer.observe("arguments-nested-as-text", words, actual=call.arguments)
    else:
        _judge_schema(answer, call, tool)


def _judge_schema(answer: Answer, call: AnsweredCall, tool: Any) -> None:
    try:
        problems = check(call.arguments, tool)
    except RefusedError:  # a sample's own schema is broken
        return
    for problem in problems[:1]:
        words = f"A call's arguments do not fit the schema: {problem.message}"
        answer.observe("arguments-off-schema", words, actual=call.arguments)


def _is_cut(value: dict[str, Any], wanted: WantedCall) -> bool:
    """Whether a string is the begin of the wanted one."""
    return any(
        isinstance(given := value.get(name), str)
        and isinstance(whole, str)
        and len(given) < len(whole)
        and given != ""
        and whole.startswith(given)
        for name, whole in wanted.arguments.items()
    )


def _is_written_as_text(value: dict[str, Any], wanted: WantedCall) -> bool:
    return any(
        isinstance(value.get(name), str) and isinstance(whole, dict | list)
        for name, whole in wanted.arguments.items()
    )


def _judge_ids(answer: Answer) -> None:
    for call in answer.calls:
        found = _NATIVE_ID.fullmatch(call.id)
        if _MARKER.search(call.id + call.name) or not call.name:
            continue
        expected = f"functions.{call.name}:{answer.request.calls_before}"
        if found is None or found["name"] != call.name:
            words = "A call's id is not the model's own."
            answer.observe("call-id-foreign", words, expected, call.id or "(none)")
        elif int(found["number"][:15]) < answer.request.calls_before:
            words = "A call's id repeats the number of a call in the history."
            answer.observe("call-id-restarts", words, expected, call.id)
    ids = Counter(call.id for call in answer.calls if call.id)
    for call_id, count in ids.items():
        if count > 1:
            words = "Calls of one answer have the same id."
            answer.observe("call-id-restarts", words, "an id of its own", call_id)


def _judge_repetition(answer: Answer) -> None:
    """Find a call that comes more often than it was asked for; samples ask for none by name."""
    if answer.request.is_sample:
        return
    wanted = Counter(str(each) for each in answer.request.wants)
    given = Counter(
        str(WantedCall(call.name, value))
        for call in answer.calls
        if isinstance(value := value_of(call), dict)
    )
    for text, count in given.items():
        if count > max(1, wanted[text]):
            words = "The same call comes more than once."
            answer.observe("call-duplicated", words, "1", f"{counted(count, 'time')}: {text}")


def _judge_obedience(answer: Answer) -> None:
    wants, choice = answer.request.wants, answer.request.body.get("tool_choice")
    if not wants or answer.request.body.get("parallel_tool_calls") is False:
        return
    if not answer.calls and choice in (None, "auto"):
        words = "The answer holds no call, though the user asks for one by name."
        answer.observe("call-not-made", words, ", ".join(map(str, wants)), answer.content)
    elif answer.calls and not is_as_asked(answer):
        words = "The calls are not those that the user asks for."
        given = ", ".join(f"{call.name} {call.arguments}" for call in answer.calls)
        answer.observe("call-not-as-asked", words, ", ".join(map(str, wants)), given)


def _judge_reason(answer: Answer) -> None:
    reason = answer.finish_reason
    # OpenAI's own API ends a named choice with "stop".
    named = answer.request.forced_tool is not None
    right = ("tool_calls", "length", *(("stop",) if named else ()))
    if answer.calls and reason and reason not in right:
        words = "An answer with calls does not end with tool_calls."
        answer.observe("finish-reason-wrong", words, "tool_calls", reason)
    elif not answer.calls and reason == "tool_calls":
        words = "An answer without calls ends with tool_calls."
        answer.observe("finish-reason-wrong", words, "stop", reason)


def _judge_cut(answer: Answer) -> None:
    """Judge the answer to a request whose max_tokens is too small for it."""
    if answer.finish_reason in ("length", ""):
        return
    completion = answer.count("completion_tokens")
    if is_as_asked(answer) or (completion or 0) > CUT_TOKENS:
        words = f"The answer is longer than max_tokens {CUT_TOKENS}."
        answer.observe("max-tokens-ignored", words, str(CUT_TOKENS), completion)
    elif answer.calls or completion == CUT_TOKENS:
        words = "An answer that max_tokens cuts is reported as complete."
        answer.observe("cut-sold-as-whole", words, "length", answer.finish_reason)
    else:
        words = "The answer holds no call, though the user asks for one by name."
        answer.observe("call-not-made", words, answer.request.wants[0].name, answer.content)


def _judge_pieces(answer: Answer) -> None:
    size = sum(len(call.arguments) for call in answer.calls if isinstance(call.arguments, str))
    if answer.request.case == "large" and size > 4096 and answer.pieces < _ONE_PIECE:
        words = "A call of 8 kB is streamed in one piece, after it was written."
        answer.observe("stream-held-back", words, "many deltas", f"{answer.pieces}")
