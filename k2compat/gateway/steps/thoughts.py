"""The step over thoughts in the conversation.

Kimi's templates read `reasoning_content` alone. They print null as the word None, and they do not
read vLLM's newer name `reasoning` or the thinking parts of Anthropic's API.
"""

from typing import Any, Final

from k2compat.gateway.draft import Draft, Json

_THINKING_PARTS: Final = {"thinking": "thinking", "reasoning": "text", "redacted_thinking": ""}


def move_thoughts(draft: Draft) -> None:
    """Bring the thoughts of assistant turns into the form that the templates read."""
    moved = nulls = 0
    for message in draft.messages:
        if message.get("role") == "assistant":
            moved += _move_parts(message) + _move_field(message)
            nulls += _replace_null(message)
    draft.note("thoughts", "history-thoughts-moved", moved)
    draft.note("thoughts", "history-thoughts-null", nulls)


def _move_field(message: Json) -> bool:
    if "reasoning" not in message:
        return False
    reasoning = message.pop("reasoning")
    if message.get("reasoning_content") is None:
        message["reasoning_content"] = reasoning
    return True


def _move_parts(message: Json) -> bool:
    content = message.get("content")
    if not isinstance(content, list):
        return False
    others = [part for part in content if not _is_thinking(part)]
    if len(others) == len(content):
        return False
    texts = [part.get(_THINKING_PARTS[part["type"]]) for part in content if _is_thinking(part)]
    message["content"] = others
    if message.get("reasoning_content") is None and message.get("reasoning") is None:
        message["reasoning_content"] = "".join(text for text in texts if isinstance(text, str))
    return True


def _replace_null(message: Json) -> bool:
    if message.get("reasoning_content", "") is not None:
        return False
    if message.get("tool_calls"):
        message["reasoning_content"] = ""
    else:
        del message["reasoning_content"]
    return True


def _is_thinking(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in _THINKING_PARTS
