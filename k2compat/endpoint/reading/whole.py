"""A whole answer: one JSON object."""

from typing import Any

from k2compat.endpoint.reading.answer import Answer, AnsweredCall, Json, reasoning_of, text_of
from k2compat.gateway import InvalidJsonError, decode


def read_whole(answer: Answer, body: bytes) -> None:
    """Read the body of a chat completion into the answer."""
    try:
        value = decode(body)
    except InvalidJsonError:
        _not_chat(answer, "The answer is not a JSON text.", body[:100])
        return
    choice = first_choice(value)
    message = choice.get("message") if choice else None
    if choice is None or not isinstance(message, dict):
        _not_chat(answer, "The answer holds no choice with a message.", value)
        return
    if message.get("role") != "assistant":
        words = "The message's role is not assistant."
        answer.observe("role-wrong", words, "assistant", message.get("role"))
    answer.content = text_of(message.get("content"))
    answer.reasoning = reasoning_of(message)
    answer.calls = tuple(_read_call(answer, call) for call in objects(message.get("tool_calls")))
    answer.finish_reason = text_of(choice.get("finish_reason"))
    if not answer.finish_reason:
        answer.observe("finish-reason-missing", "The choice has no finish_reason.")
    answer.usage = usage_of(value)
    if answer.usage is None:
        answer.observe("usage-missing", "The answer has no usage.")


def first_choice(value: Any) -> Json | None:
    """The only choice of an answer or chunk, None where there is none."""
    choices = objects(value.get("choices")) if isinstance(value, dict) else []
    return choices[0] if choices else None


def objects(value: Any) -> list[Json]:
    """The objects of a list; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def usage_of(value: Json) -> Json | None:
    """The token counts of an answer or chunk."""
    usage = value.get("usage")
    return usage if isinstance(usage, dict) else None


def _not_chat(answer: Answer, words: str, actual: object) -> None:
    answer.is_chat = False
    answer.observe("answer-invalid", words, actual=actual)


def _read_call(answer: Answer, call: Json) -> AnsweredCall:
    if call.get("type") != "function":
        words = "A tool call's type is not function."
        answer.observe("call-type-missing", words, "function", call.get("type"))
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        words = "A tool call's arguments are not a string with JSON in it."
        answer.observe("arguments-not-text", words, actual=arguments)
    return AnsweredCall(text_of(call.get("id")), text_of(function.get("name")), arguments)
