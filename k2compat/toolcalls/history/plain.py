"""The parts of a client's message as a chat template can print them.

- Content that is None, missing or an empty list becomes an empty string, and a
  list of text parts their text. Templates print them as Python objects else.
  Lists with other parts (images) are left to the template.
- The reasoning may have vLLM's newer name `reasoning`, or come as `thinking`
  parts of the content, as Anthropic's API has them. It becomes
  `reasoning_content`, the name that the templates read. A template prints the
  word None for null: null becomes an empty string in a turn with calls, and is
  left out of other turns, whose thoughts no template prints. `redacted_thinking`
  parts hold encrypted thoughts, which another model cannot read: they are left out.
- A call's arguments become JSON text: an object is written, nothing is `{}`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_REASONING_FIELDS: Final = ("reasoning_content", "reasoning")


def plain_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Write content and reasoning of a message as a template can print them.

    Args:
        message: the message. It is not changed.

    Returns:
        A new message; all other members are the same.
    """
    content = message.get("content")
    if message.get("role") != "assistant":
        return {**message, "content": _content(content)}
    plain = {**message, "content": _content(_without_thoughts(content))}
    _write_reasoning(plain, message)
    return plain


def has_redacted_thoughts(message: Mapping[str, Any]) -> bool:
    """Whether an assistant's message holds encrypted thoughts, which `plain_message` leaves out."""
    content = message.get("content")
    return (
        message.get("role") == "assistant"
        and isinstance(content, list | tuple)
        and any(map(_is_redacted, content))
    )


def plain_arguments(arguments: object) -> str | None:
    """Write a call's arguments as JSON text.

    Args:
        arguments: text, an object, or None.

    Returns:
        The text as it was if it was one; or None if the value is no JSON.
    """
    if isinstance(arguments, str):
        return arguments if arguments.strip() else "{}"
    if arguments is None:
        return "{}"
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None


def _write_reasoning(plain: dict[str, Any], message: Mapping[str, Any]) -> None:
    given = [field for field in _REASONING_FIELDS if field in message]
    thoughts = [_text(message[field]) for field in given if message[field] is not None]
    thoughts += _thinking(message.get("content"))
    plain.pop("reasoning", None)
    if thoughts:
        plain["reasoning_content"] = thoughts[0]
    elif given and message.get("tool_calls"):
        plain["reasoning_content"] = ""
    else:
        plain.pop("reasoning_content", None)


def _thinking(content: object) -> Iterator[str]:
    """The text of the content's thinking parts together, if there are any."""
    if isinstance(content, list | tuple):
        parts = [part["thinking"] for part in content if _is_part(part, "thinking")]
        if parts:
            yield "".join(parts)


def _content(content: object) -> object:
    if content is None:
        return ""
    return _text(content)


def _without_thoughts(content: object) -> object:
    if isinstance(content, list | tuple):
        return [part for part in content if not (_is_part(part, "thinking") or _is_redacted(part))]
    return content


def _text(value: object) -> object:
    """A field's text; what is neither text nor a list of text parts stays."""
    if isinstance(value, list | tuple) and all(_is_part(part, "text") for part in value):
        return "".join(part["text"] for part in value)
    return value


def _is_part(part: object, kind: str) -> bool:
    return (
        isinstance(part, Mapping)
        and part.get("type", "text") == kind
        and isinstance(part.get(kind), str)
    )


def _is_redacted(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "redacted_thinking"
