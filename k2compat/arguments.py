"""A finished call's arguments against its tool's JSON Schema: check, and coerce.

The parser passes arguments on as the model wrote them. Whether the values fit
the tool is asked here, of a finished call: `check` tells what does not fit, and
`coerce`, for those who want it, mends values that only have the wrong type.

What the model wrote never raises. A schema that is none raises `RefusedError`:
that is the caller's. Nothing is ever fetched: a `$ref` out of the schema is a
broken schema.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isinf
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeAlias

from k2compat.errors import RefusedError

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

# Positions in arrays are strings too: the validator does not tell them from keys.
_Path: TypeAlias = tuple[str, ...]

_SCHEMAS_KEPT: Final = 256
_MESSAGE_AT_MOST: Final = 300

# No model reads more messages, and a list of 100,000 wrong items must not make 100,000 of them.
PROBLEMS_AT_MOST: Final = 100

_TYPE_NAMES: Final[Mapping[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_WHITE_SPACE: Final = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class ArgumentProblem:
    """A value that does not fit its tool's schema.

    Attributes:
        path: the value's place as a JSON Pointer; "" is the whole.
        message: one sentence on what is wrong, fit to be shown to the model.
    """

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """A value that was given the type its schema asks for.

    Attributes:
        path: the value's place as a JSON Pointer, in the new arguments.
        before: its JSON text as the model wrote it.
        after: its JSON text now.
    """

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Coerced:
    """Arguments after `coerce`.

    Attributes:
        arguments: the new text; the old one but for the changed values.
        changes: what was changed.
        problems: what does not fit even so, at most as many as `check` returns.
    """

    arguments: str
    changes: tuple[Change, ...]
    problems: tuple[ArgumentProblem, ...]


class _Cause(NamedTuple):
    """Why a value does not fit: `types` are those it should have had, if that is why."""

    path: _Path
    message: str
    types: frozenset[str] = frozenset()


def check(arguments: str, tool: Mapping[str, Any]) -> tuple[ArgumentProblem, ...]:
    """Check a finished call's arguments against its tool's JSON Schema.

    Args:
        arguments: the call's arguments, as the model wrote them.
        tool: the tool as the request declares it: an OpenAI tool dict. Without
            `parameters` every object fits.

    Returns:
        What does not fit; nothing if all is well. After `PROBLEMS_AT_MOST` problems one
        more, of the whole, says how many are left out.

    Raises:
        RefusedError: tool-schema-invalid, the tool's `parameters` are no
            usable JSON Schema. Any other exception is a bug.
    """
    return _problems(_causes_in(arguments, _validator_of(tool)))


def coerce(arguments: str, tool: Mapping[str, Any]) -> Coerced:
    """Give values of the wrong type the type the schema asks for, where that is sure.

    A string becomes the number, boolean, null, object or array whose exact JSON
    text it holds; a number becomes a string of its digits as written. That is
    all: the schema must not allow the value's own type, no letter is guessed
    (`"True"`, `"3 "` and `"1,000"` stay), and no other text changes.

    Args:
        arguments: the call's arguments, as the model wrote them.
        tool: the tool as the request declares it.

    Returns:
        The new arguments, what was changed, and what still does not fit.

    Raises:
        RefusedError: as `check`.
    """
    validator = _validator_of(tool)
    causes = _causes_in(arguments, validator)
    changes: dict[_Path, Change] = {}
    refused: set[_Path] = set()
    # A string that becomes an object may hold values of the wrong type in turn.
    while found := _changes(arguments, _wanted_types(causes, without=changes.keys() | refused)):
        coerced = _spliced(arguments, found.values())
        causes_then = _causes_in(coerced, validator)
        still_wrong = _wanted_types(causes_then, without=()).keys() & found.keys()
        if still_wrong:
            # Another part of the schema wants the type that was there.
            refused |= still_wrong
        else:
            arguments, causes = coerced, causes_then
            changes |= {path: change for path, (_, change) in found.items()}
    return Coerced(arguments, tuple(changes.values()), _problems(causes))


def _problems(causes: Sequence[_Cause]) -> tuple[ArgumentProblem, ...]:
    problems = [
        ArgumentProblem(_pointer(cause.path), cause.message) for cause in causes[:PROBLEMS_AT_MOST]
    ]
    if left_out := len(causes) - len(problems):
        noun = "problem" if left_out == 1 else "problems"
        problems.append(ArgumentProblem("", f"The arguments have {left_out:,} more {noun}"))
    return tuple(problems)


def _causes_in(arguments: str, validator: "Validator") -> list[_Cause]:
    try:
        value = _DECODER.decode(arguments)
    except ValueError as error:
        return [_Cause((), f"The arguments are not JSON: {error}")]
    except RecursionError:
        return [_Cause((), "The arguments are nested too deeply to be checked")]
    if not isinstance(value, dict):
        return [_Cause((), "The arguments are not a JSON object", frozenset({"object"}))]
    try:
        errors = list(validator.iter_errors(value))
    except ValueError as error:
        return [_Cause((), f"The arguments cannot be checked: {error}")]
    return [cause for error in errors for cause in _causes(error)]


def _causes(error: "ValidationError") -> Iterator[_Cause]:
    """What is behind an error; for a choice of schemas, what the fitting one says."""
    path = tuple(map(str, error.instance_path))
    message = _shortened(error.message)
    if error.kind.name == "type":
        yield _Cause(path, message, frozenset(error.kind.value))
    elif error.kind.name in ("anyOf", "oneOf"):
        branches = [
            [cause for each in branch for cause in _causes(each)] for branch in error.kind.value
        ]
        right_type = [branch for branch in branches if not _types_at(path, branch)]
        if len(right_type) == 1:
            yield from right_type[0]
        elif right_type:
            yield _Cause(path, message)
        else:
            yield _Cause(path, message, _types_at(path, *branches))
    else:
        yield _Cause(path, message)


def _types_at(path: _Path, *branches: list[_Cause]) -> frozenset[str]:
    return frozenset(
        name
        for branch in branches
        for cause in branch
        if cause.path == path
        for name in cause.types
    )


def _shortened(message: str) -> str:
    """A message quotes the value, which may be megabytes; its end tells what is wrong."""
    half = _MESSAGE_AT_MOST // 2
    if len(message) <= _MESSAGE_AT_MOST:
        return message
    return f"{message[:half]} … {message[-half:]}"


def _wanted_types(
    causes: Iterable[_Cause], *, without: Iterable[_Path]
) -> dict[_Path, list[frozenset[str]]]:
    """For each value of a wrong type, the types that each part of its schema allows."""
    wanted: dict[_Path, list[frozenset[str]]] = {}
    for cause in causes:
        if cause.types and cause.path not in without:
            wanted.setdefault(cause.path, []).append(cause.types)
    return wanted


def _changes(
    arguments: str, wanted: Mapping[_Path, list[frozenset[str]]]
) -> dict[_Path, tuple[int, Change]]:
    """The values that can be given a wanted type, each with its place in the text."""
    changes: dict[_Path, tuple[int, Change]] = {}
    if not wanted:
        return changes
    for path, start, end in _values(arguments):
        if path in wanted:
            before = arguments[start:end]
            read = _read_otherwise(before)
            if read and all(_allows(types, read.type) for types in wanted[path]):
                # A key that is there twice has its last value, here as in `json`.
                changes[path] = (start, Change(_pointer(path), before, read.text))
    return changes


def _spliced(arguments: str, changes: Iterable[tuple[int, Change]]) -> str:
    pieces, at = [], 0
    for start, change in sorted(changes, key=lambda placed: placed[0]):
        pieces += [arguments[at:start], change.after]
        at = start + len(change.before)
    return "".join((*pieces, arguments[at:]))


class _Reading(NamedTuple):
    """A JSON text and the type it has in a schema's words."""

    text: str
    type: str


def _read_otherwise(written: str) -> _Reading | None:
    """The other type that a value's JSON text may stand for, if there is one."""
    if written[0] in "-0123456789":
        return _Reading(f'"{written}"', "string")
    if written[0] != '"':
        return None
    text = _DECODER.decode(written)
    try:
        name = _TYPE_NAMES[type(_DECODER.decode(text))]
    except (ValueError, RecursionError):
        return None
    # White space belongs to no number or word, but to objects and arrays it may.
    exact = name in ("object", "array") or text == text.strip()
    return _Reading(text, name) if exact and name != "string" else None


def _allows(types: frozenset[str], name: str) -> bool:
    return name in types or (name == "integer" and "number" in types)


def _values(text: str) -> Iterator[tuple[_Path, int, int]]:
    """Every value in a JSON text: its path, where it begins and where it ends."""
    places: list[tuple[_Path, int, int]] = []
    _walk(text, _skip(text, 0), (), places)
    return iter(places)


def _walk(text: str, at: int, path: _Path, places: list[tuple[_Path, int, int]]) -> int:
    """Note the value at a place and all within it; the place behind it.

    The text is JSON, nested no deeper than the validator could follow.
    """
    start = at
    if text[at] not in "{[":
        _, at = _DECODER.raw_decode(text, at)
    else:
        is_object = text[at] == "{"
        position = 0
        at = _skip(text, at + 1)
        while text[at] not in "}]":
            step = str(position)
            if is_object:
                step, at = _DECODER.raw_decode(text, at)
                at = _skip(text, _skip(text, at) + 1)
            at = _skip(text, _walk(text, at, (*path, step), places))
            if text[at] == ",":
                at = _skip(text, at + 1)
            position += 1
        at += 1
    places.append((path, start, at))
    return at


def _skip(text: str, at: int) -> int:
    match = _WHITE_SPACE.match(text, at)
    return match.end() if match else at


def _pointer(path: _Path) -> str:
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in path)


def _number(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"the number {_shortened(text)} is too large")
    return number


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_float=_number, parse_constant=_no_json)


def _validator_of(tool: Mapping[str, Any]) -> "Validator":
    function = tool.get("function")
    if not isinstance(function, Mapping):
        raise _broken_schema("?", "it has no function")
    name = function.get("name", "?")
    try:
        parameters = function.get("parameters")
        return _validator(json.dumps({} if parameters is None else parameters))
    except (TypeError, ValueError, RecursionError) as error:
        raise _broken_schema(name, str(error).partition("\n")[0]) from error


def _broken_schema(name: object, reason: str) -> RefusedError:
    return RefusedError(
        "tool-schema-invalid",
        f"The parameters of the tool {name!r} are no usable JSON Schema: {_shortened(reason)}",
        hint="Correct the tool's parameters; write what a $ref names into the schema itself.",
    )


@lru_cache(maxsize=_SCHEMAS_KEPT)
def _validator(schema: str) -> "Validator":
    """Compile a schema. A server sees the same few tools again and again."""
    import jsonschema_rs

    return jsonschema_rs.validator_for(json.loads(schema), retriever=_fetch_nothing)


def _fetch_nothing(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not part of the schema, and nothing is fetched")
