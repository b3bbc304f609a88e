"""Reads what the model wrote as a call's id, and repairs it where it can be.

The model's own form is `functions.NAME:IDX`. It forgets parts of it, and it
imitates other forms that clients left in the history. An id therefore tells
one of three things: the tool; only that there is a call (then the declared
tools and the arguments may tell the tool); or nothing, then it is no id.
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
# What may stand before a declared name, and behind it.
_AROUND_DECLARED: Final = (
    ("functions_", re.compile(r"_(?P<number>[0-9]+)")),
    ("functions.", re.compile(r"(?P<number>[0-9]+)?")),
    ("functions", re.compile(r"(?P<number>[0-9]+)")),
    ("", re.compile(r"(?P<number>)")),
)
_NAMELESS: Final = re.compile(r"(?:call)?(?P<number>[0-9]+)|(?P<foreign>call_)[0-9A-Fa-f]+")


class CallId(NamedTuple):
    """What an id says.

    Attributes:
        name: the tool, or None if the id does not name one.
        number: the IDX the model gave, or None.
        canonical: whether the id already has the model's own form.
        foreign: whether it is a client's form (`call_…`). The model then
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
        What it says, or None if it is no id.
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
    match = _NAMELESS.fullmatch(text)
    return match and CallId(None, match["number"], foreign=match["foreign"] is not None)


def find_tool(call_id: CallId, arguments: str, tools: DeclaredTools) -> NamedCall | None:
    """Find the tool of a call whose id names none.

    Args:
        call_id: what the id says.
        arguments: the call's arguments, one whole JSON object.
        tools: the declared tools.

    Returns:
        The tool and the arguments, or None if they do not tell the tool.
    """
    found = list(members(arguments))
    if call_id.foreign:
        named = [member for member in found if member.key == "name"]
        name = json.loads(named[-1].value) if named and named[-1].value[0] == '"' else None
        if name in tools.parameters:
            if "name" in tools.parameters[name].properties:
                return NamedCall(name, arguments)
            return NamedCall(name, joined(member for member in found if member.key != "name"))
    fitting = tools.only_fitting(member.key for member in found)
    return NamedCall(fitting, arguments) if fitting is not None else None
