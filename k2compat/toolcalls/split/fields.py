"""Reads the fields of a server's answer, whatever types they have."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_SHOWN_AT_MOST: Final = 1000
_SURROGATE_SAFE: Final = json.JSONEncoder(ensure_ascii=False, default=repr)


def text_of(value: object) -> str | None:
    """Read a field that should hold text.

    Args:
        value: a string, None, or a list of text parts (`{"type": "text",
            "text": …}`), as some servers send content.

    Returns:
        The text, empty for None; or None if the value is something else.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        parts = [_text_of_part(part) for part in value]
        if None not in parts:
            return "".join(filter(None, parts))
    return None


def _text_of_part(part: object) -> str | None:
    text = part.get("text") if isinstance(part, Mapping) else part
    return text if isinstance(text, str) else None


def arguments_of(value: object) -> str | None:
    """Read a call's arguments.

    Args:
        value: JSON text, or the value itself, as some servers send it.

    Returns:
        The JSON text, empty for None; or None if the value is nested too
        deeply or is no JSON.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None


def shown(value: object) -> str:
    """The beginning of a value as JSON text, for a `Problem`: 1,000 characters at most."""
    text = ""
    try:
        for piece in _SURROGATE_SAFE.iterencode(value):
            text += piece[:_SHOWN_AT_MOST]
            if len(text) >= _SHOWN_AT_MOST:
                break
    except (ValueError, TypeError, RecursionError):
        text += "…"
    return text[:_SHOWN_AT_MOST]


def value_key(arguments: str) -> str:
    """A text that two calls' arguments share if and only if they are the same JSON value.

    Numbers are compared by value (`1.0` is `1`, a server may write it anew).
    Arguments that are no JSON are the same where their text is.
    """
    try:
        value: Any = json.loads(arguments, parse_float=_number)
        return json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        return f"={arguments.strip()}"


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


_INDEX: Final = re.compile(r"[0-9]{1,15}")


def index_of(value: object) -> int | None:
    """A call's index in a delta; None where there is none that can be used."""
    if isinstance(value, str) and _INDEX.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
