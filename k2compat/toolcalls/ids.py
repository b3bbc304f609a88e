"""Reads what the model wrote as a call's id, repairs it, and keeps ids unique.

The model's own form is `functions.NAME:IDX`. It forgets parts of it, and it
imitates other forms that clients left in the history. So a text is an id that
names a tool, an id that names none (the declared tools and the arguments may
then decide), or no id.
"""

import json
import re
from typing import Final, NamedTuple

from .json_members import joined, members
from .tools import DeclaredTools

_CANONICAL: Final = re.compile(
    r"functions\.(?P<name>(?:(?!<\|)[^\x00-\x20\x7f-\x9f])+):(?P<number>[0-9]+)"
)
_DIGITS: Final = re.compile(r"[0-9]+")
# Repairs are stricter about names than the canonical form is.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_PREFIX_FORGOTTEN: Final = re.compile(
    r"(?!functions\.:)(?P<name>[A-Za-z0-9_.-]+):(?P<number>[0-9]+)"
)
# What may precede and follow a declared name.
_AROUND_DECLARED: Final = (
    ("functions_", re.compile(r"_(?P<number>[0-9]+)")),
    ("functions.", re.compile(r"(?P<number>[0-9]+)?")),
    ("functions", re.compile(r"(?P<number>[0-9]+)")),
    ("", re.compile(r"(?P<number>)")),
)
_COUNTER: Final = re.compile(r"(?P<number>[0-9]+)|call[0-9]+")
# The ids that other makers' models and servers give to calls.
_FOREIGN: Final = re.compile(
    r"call_[A-Za-z0-9_]+"
    r"|(?:toolu_|tooluse_|chatcmpl-tool-)[A-Za-z0-9_-]+"
    r"|[0-9A-Fa-f]{32}"
    r"|[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
)
# A number of so many digits is never compared: it counts nothing.
_DIGITS_COMPARED: Final = 15


class CallId(NamedTuple):
    """The parts of an id.

    Attributes:
        name: the tool, or None if the id names none.
        number: the IDX that the model gave, or None.
        canonical: whether the id already has the model's own form.
        foreign: whether it has another maker's form (`call_…`). The model then
            tends to put the tool's name among the arguments.
    """

    name: str | None
    number: str | None
    canonical: bool = False
    foreign: bool = False


class NamedCall(NamedTuple):
    """A call whose tool was found: the tool's name, and the arguments to pass on."""

    name: str
    arguments: str


def read_id(text: str, tools: DeclaredTools) -> CallId | None:
    """Read an id.

    Args:
        text: what the model wrote as the id, without white space around it.
        tools: the declared tools.

    Returns:
        Its parts, or None if it is no id.
    """
    match = _CANONICAL.fullmatch(text)
    canonical = match is not None
    match = match or _PREFIX_FORGOTTEN.fullmatch(text)
    if match is None:
        return _read_declared(text, tools) or _read_nameless(text)
    name, number = match["name"], match["number"]
    if _DIGITS.fullmatch(name) and name not in tools:
        return CallId(None, number)
    return CallId(name, number, canonical)


def _read_declared(text: str, tools: DeclaredTools) -> CallId | None:
    for name in filter(_PLAIN_NAME.fullmatch, tools.longest_first()):
        for before, behind in _AROUND_DECLARED:
            if text.startswith(before + name):
                match = behind.fullmatch(text, len(before) + len(name))
                if match:
                    return CallId(name, match["number"] or None)
    return None


def _read_nameless(text: str) -> CallId | None:
    if match := _COUNTER.fullmatch(text):
        return CallId(None, match["number"])
    return CallId(None, None, foreign=True) if _FOREIGN.fullmatch(text) else None


def is_plain_name(text: str) -> bool:
    """Whether a repaired id may have this NAME although no tool has it."""
    return _PLAIN_NAME.fullmatch(text) is not None


def is_canonical(text: str) -> bool:
    """Whether the text has the model's own form of an id, with no `{` in it."""
    return "{" not in text and _CANONICAL.fullmatch(text) is not None


class IssuedIds:
    """The ids of one message's calls: no two are equal.

    Models restart at 0 in each turn. Clients answer 400 to an id that the
    conversation already holds, or mix up the results.
    """

    __slots__ = ("_first_index", "_largest", "_used")

    def __init__(self, first_index: int) -> None:
        """Begin a message.

        Args:
            first_index: how many calls the conversation already holds.
        """
        self._first_index = first_index
        self._largest = -1
        self._used: set[str] = set()

    def issue(self, parsed: CallId, raw_id: str, name: str, index: int) -> tuple[str, bool]:
        """Give the next call its id.

        Args:
            parsed: the parts of the id that the model wrote.
            raw_id: that id as written.
            name: the call's tool.
            index: the call's number in this message.

        Returns:
            The id, and whether the number that the model gave was replaced.
        """
        number = self._first_index + index
        compared = True
        call_id = f"functions.{name}:{number}"
        if parsed.number is not None:
            compared = len(parsed.number) <= _DIGITS_COMPARED
            number = int(parsed.number) if compared else number
            call_id = raw_id if parsed.canonical else f"functions.{name}:{parsed.number}"
        repeated = call_id in self._used or (compared and number < self._first_index)
        if repeated:
            compared = True
            number = max(self._first_index + index, self._largest + 1)
            while (call_id := f"functions.{name}:{number}") in self._used:
                number += 1
        if compared:
            self._largest = max(self._largest, number)
        self._used.add(call_id)
        return call_id, repeated and parsed.number is not None


def find_tool(
    call_id: CallId, arguments: str, tools: DeclaredTools, *, whole: bool = True
) -> NamedCall | None:
    """Find the tool of a call whose id names none.

    Args:
        call_id: the parts of the id.
        arguments: the call's arguments.
        tools: the declared tools.
        whole: whether the arguments are one whole JSON object.

    Returns:
        The tool and the arguments, or None if the tool remains unknown.
    """
    found = list(members(arguments)) if whole else []
    if call_id.foreign and found:
        named = [member for member in found if member.key == "name"]
        name = json.loads(named[-1].value) if named and named[-1].value[0] == '"' else None
        if name in tools.parameters:
            if "name" in tools.parameters[name].properties:
                return NamedCall(name, arguments)
            return NamedCall(name, joined(member for member in found if member.key != "name"))
    if (only := tools.only()) is not None:
        return NamedCall(only, arguments)
    fitting = tools.only_fitting(member.key for member in found) if whole else None
    return NamedCall(fitting, arguments) if fitting is not None else None
