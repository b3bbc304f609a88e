"""The words of an error object, in the shapes that servers use."""

from typing import Any

from k2compat.gateway import InvalidJsonError, decode


def error_text(body: bytes) -> str:
    """The words of an error's body."""
    try:
        return error_words(decode(body))
    except InvalidJsonError:
        return body[:1000].decode("utf-8", "replace").strip()


def error_words(value: Any) -> str:
    """The words of a decoded error."""
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    return value if isinstance(value, str) else repr(value)
