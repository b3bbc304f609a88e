"""A reader of JSON that keeps what a plain `json.loads` loses.

`json.loads` keeps only the last of two equal keys, accepts NaN, and raises two further errors
for a number of five thousand digits and for a thousand nested brackets. Here objects keep every
pair, numbers that are no plain integers stay recognisable, and there is only one error.
"""

import json
from typing import NamedTuple, TypeAlias

INTEGER_DIGITS_MAX = 20
"""A 64-bit number has no more."""


class JsonObject(tuple[tuple[str, "JsonValue"], ...]):
    """An object as the pairs it was written with, in order, repeated keys included."""

    __slots__ = ()


class OtherNumber(NamedTuple):
    """A number that is no integer of reasonable length, as its text: 1.5, 1e3, NaN."""

    text: str


JsonValue: TypeAlias = "JsonObject | list[JsonValue] | str | int | OtherNumber | bool | None"


class JsonError(Exception):
    """The text is not JSON, or nested too deeply to be read.

    Attributes:
        message: The fault.
        position: The character of the fault; None for nesting.
    """

    def __init__(self, message: str, position: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


def load_json(text: str) -> JsonValue:
    """Read one JSON document.

    Raises:
        JsonError: It is not JSON, or nested too deeply.
    """
    try:
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=JsonObject,
            parse_int=_integer,
            parse_float=OtherNumber,
            parse_constant=OtherNumber,
        )
    except json.JSONDecodeError as error:
        raise JsonError(error.msg, error.pos) from error
    except RecursionError as error:
        raise JsonError("nested too deeply", None) from error
    return value


def _integer(text: str) -> int | OtherNumber:
    # JSON has a negative zero, but Python's integers do not.
    if len(text) > INTEGER_DIGITS_MAX or text == "-0":
        return OtherNumber(text)
    return int(text)
