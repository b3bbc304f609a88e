r"""JSON from and for the wire: fast where it can be, exact where it must be.

msgspec reads and writes about ten times faster than the standard library, but it refuses lone
surrogates (`"\ud800"`), which models and clients do send. Those rare texts take the slow way.
"""

import json
from typing import Any, NoReturn

import msgspec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class InvalidJsonError(ValueError):
    """The bytes are no JSON text, or one nested too deeply to read."""


def decode(data: bytes | str) -> Any:
    """Read a JSON text.

    Args:
        data: the text, in UTF-8 if it is bytes.

    Returns:
        The value as plain Python objects.

    Raises:
        InvalidJsonError: the bytes are not UTF-8 or no JSON, hold NaN or Infinity, or are nested
            too deeply.
    """
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        return _decode_slowly(data)


def encode(value: Any) -> bytes:
    """Write a value as compact JSON in UTF-8, or in ASCII where it holds lone surrogates.

    Args:
        value: plain Python objects, as `decode` returns them.

    Raises:
        InvalidJsonError: the value is nested too deeply or holds a number that JSON cannot write.
    """
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode_slowly(value)
    except RecursionError as error:
        raise InvalidJsonError("the value is nested too deeply") from error


def _encode_slowly(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (ValueError, RecursionError) as error:
        raise InvalidJsonError("the value cannot be written as JSON") from error


def _decode_slowly(data: bytes | str) -> Any:
    try:
        # Given bytes, `json.loads` reads UTF-16 and UTF-32 as well. What looks at the bytes for a
        # marker before (`steps.marker_text`) would not see one there.
        text = data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")
        return json.loads(
            text.removeprefix("\ufeff"), parse_constant=_refuse_constant, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        # The cause quotes the text; the text may be secret.
        raise InvalidJsonError("not a JSON text") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError("a number out of range")
    return number
