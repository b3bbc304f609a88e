"""Gives values the type that their tool's schema asks for, where only the type is wrong."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from k2compat.arguments.checking import (
    DECODER,
    ArgumentProblem,
    Cause,
    ValuePath,
    causes_in,
    pointer,
    problems_of,
    validator_of,
)

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


def coerce(arguments: str, tool: Mapping[str, Any]) -> Coerced:
    """Give values of the wrong type the type that the schema asks for, where that is certain.

    A string becomes the number, boolean, null, object or array whose exact JSON
    text it holds; a number becomes a string of its digits as written. That is
    all: the schema must not allow the value's own type, no letter is guessed
    (`"True"`, `"3 "` and `"1,000"` stay), and no other text changes. Where more
    than `checking.FAULTS_EXPLAINED_MAX` places do not fit, nothing is changed.

    Args:
        arguments: the call's arguments, as the model wrote them.
        tool: the tool as the request declares it.

    Returns:
        The new arguments, what was changed, and what still does not fit.

    Raises:
        RefusedError: as `check`.
    """
    validator = validator_of(tool)
    causes = causes_in(arguments, validator)
    changes: dict[ValuePath, Change] = {}
    refused: set[ValuePath] = set()
    # A string that becomes an object may hold values of the wrong type in turn.
    while found := _changes(arguments, _wanted_types(causes, without=changes.keys() | refused)):
        coerced = _spliced(arguments, found.values())
        causes_then = causes_in(coerced, validator)
        still_wrong = _wanted_types(causes_then, without=()).keys() & found.keys()
        if still_wrong:
            # Another part of the schema wants the type that was there.
            refused |= still_wrong
        else:
            arguments, causes = coerced, causes_then
            changes |= {path: change for path, (_, change) in found.items()}
    return Coerced(arguments, tuple(changes.values()), problems_of(causes))


def _wanted_types(
    causes: Iterable[Cause], *, without: Iterable[ValuePath]
) -> dict[ValuePath, list[frozenset[str]]]:
    """For each value of a wrong type, the types that each part of its schema allows."""
    wanted: dict[ValuePath, list[frozenset[str]]] = {}
    for cause in causes:
        if cause.types and cause.path not in without:
            wanted.setdefault(cause.path, []).append(cause.types)
    return wanted


def _changes(
    arguments: str, wanted: Mapping[ValuePath, list[frozenset[str]]]
) -> dict[ValuePath, tuple[int, Change]]:
    """The values that can be given a wanted type, each with its place in the text."""
    changes: dict[ValuePath, tuple[int, Change]] = {}
    if not wanted:
        return changes
    for path, start, end in _values(arguments):
        if path in wanted:
            before = arguments[start:end]
            read = _read_otherwise(before)
            if read and all(_allows(types, read.type) for types in wanted[path]):
                # A key that is there twice has its last value, here as in `json`.
                changes[path] = (start, Change(pointer(path), before, read.text))
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
    text = DECODER.decode(written)
    try:
        name = _TYPE_NAMES[type(DECODER.decode(text))]
    except (ValueError, RecursionError):
        return None
    # White space belongs to no number or word, but to objects and arrays it may.
    exact = name in ("object", "array") or text == text.strip()
    return _Reading(text, name) if exact and name != "string" else None


def _allows(types: frozenset[str], name: str) -> bool:
    return name in types or (name == "integer" and "number" in types)


def _values(text: str) -> Iterator[tuple[ValuePath, int, int]]:
    """Every value in a JSON text: its path, where it begins and where it ends."""
    places: list[tuple[ValuePath, int, int]] = []
    _walk(text, _skip(text, 0), (), places)
    return iter(places)


def _walk(text: str, at: int, path: ValuePath, places: list[tuple[ValuePath, int, int]]) -> int:
    """Note the value at a place and all within it; the place behind it.

    The text is JSON, nested no deeper than the validator could follow.
    """
    start = at
    if text[at] not in "{[":
        _, at = DECODER.raw_decode(text, at)
    else:
        is_object = text[at] == "{"
        position = 0
        at = _skip(text, at + 1)
        while text[at] not in "}]":
            step = str(position)
            if is_object:
                step, at = DECODER.raw_decode(text, at)
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
