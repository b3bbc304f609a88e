r"""JSON from and for the wire, with msgspec where possible.

msgspec reads and writes about ten times faster than the standard library, but it refuses lone
surrogates (`"\ud800"`), which models and clients do send. The standard library handles those texts.
"""

import json
from typing import Any, Final, NoReturn

import msgspec

_decode = msgspec.json.Decoder().decode
_decode_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


DIGITS_MAX: Final = 4300
"""The most digits of a whole number: Python's limit, because reading takes quadratic time."""


class InvalidJsonError(ValueError):
    """The bytes are no JSON text, or one that cannot be read.

    Its text follows "The body", and quotes nothing.
    """


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


def decode_string(data: bytes) -> str | None:
    """Read a JSON text that is one string; None for others and for lone surrogates."""
    try:
        return _decode_string(data)
    except ValueError:
        return None


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
            text.removeprefix("\ufeff"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except InvalidJsonError:
        raise
    except (ValueError, RecursionError) as error:
        # The cause quotes the text; the text may be secret.
        raise InvalidJsonError("is not a JSON text") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _whole(text: str) -> int:
    if len(text.removeprefix("-")) > DIGITS_MAX:
        raise InvalidJsonError(f"holds a whole number of more than {DIGITS_MAX} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError("a number out of range")
    return number
