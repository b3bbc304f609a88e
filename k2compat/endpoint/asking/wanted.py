"""The calls that requests ask for, and the words that ask for them.

A request names each call it expects in its last user message, as `NAME {json}`, at temperature 0.
A model with a chat template follows that, and so can a scripted server: the check judges the
server, not how clever the model is.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Json = dict[str, Any]

_ORDER: Final = (
    "Call these tools now, all in one answer, in this order, with exactly these arguments. "
    "Write no other text.\n\n"
)


class WantedCall(NamedTuple):
    """A call that a request asks for.

    Attributes:
        name: the tool's name.
        arguments: the arguments as JSON values.
    """

    name: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        """The call as `NAME {json}`."""
        return f"{self.name} {self.arguments_text}"

    @property
    def arguments_text(self) -> str:
        """The arguments as JSON text."""
        return json.dumps(self.arguments, ensure_ascii=False)


def order_of(*calls: WantedCall) -> str:
    """The user message that asks for the calls, a line for each."""
    return _ORDER + "\n".join(map(str, calls))


def _tool(name: str, description: str, properties: Json, *required: str) -> Json:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


_TEXT: Final[Json] = {"type": "string"}
_GUEST: Final[Json] = {
    "type": "object",
    "properties": {"name": _TEXT, "seats": {"type": "integer"}},
    "required": ["name", "seats"],
}
_WHEN: Final[Json] = {
    "type": "object",
    "properties": {"date": _TEXT, "hours": {"type": "array", "items": {"type": "integer"}}},
    "required": ["date", "hours"],
}

TOOLS: Final[tuple[Json, ...]] = (
    _tool(
        "get_weather",
        "The weather of a city.",
        {"city": _TEXT, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "city",
    ),
    _tool("get_time", "The time of day.", {}),
    _tool("write_file", "Write a text file.", {"path": _TEXT, "text": _TEXT}, "path", "text"),
    _tool(
        "create_event",
        "Put an event into the calendar.",
        {
            "title": _TEXT,
            "when": _WHEN,
            "guests": {"type": "array", "items": _GUEST},
            "remote": {"type": "boolean"},
            "room": {"type": ["string", "null"]},
            "fee": {"type": "number"},
        },
        "title",
        "when",
    ),
)
"""The tools that requests declare."""

NOTE: Final = "A remark for people who read this schema, with no meaning for its validation."


def noted_tools() -> list[Json]:
    """The tools with a `title` for each property, a keyword that TypeScript cannot express.

    Kimi-K2.5's encoder (tool_declaration_ts.py in its repo) leaves `title` out; JSON keeps it.
    """
    tools: list[Json] = json.loads(json.dumps(TOOLS))
    for tool in tools:
        for schema in tool["function"]["parameters"]["properties"].values():
            schema["title"] = NOTE
    return tools


PARIS: Final = WantedCall("get_weather", {"city": "Paris"})
ROME: Final = WantedCall("get_weather", {"city": "Rome"})
TWO: Final = (
    WantedCall("get_weather", {"city": "Oslo"}),
    WantedCall("get_weather", {"city": "Lima", "unit": "celsius"}),
)
NESTED: Final = WantedCall(
    "create_event",
    {
        "title": "Review",
        "when": {"date": "2026-01-15", "hours": [9, 14]},
        "guests": [{"name": "Ada", "seats": 1}, {"name": "Lin", "seats": 2}],
        "remote": True,
        "room": None,
        "fee": 12.5,
    },
)
EMPTY: Final = WantedCall("get_time", {})
UNICODE: Final = WantedCall(
    "write_file",
    {"path": "日记/Überblick.md", "text": '晴れ 🌦️ then "rain" \\ café\n\tStraße № 5 👩‍💻'},
)
CUT: Final = WantedCall(
    "write_file",
    {
        "path": "rivers.md",
        "text": "Amazon, Nile, Yangtze, Mississippi, Yenisei, Ob, Paraná, Congo, Amur, Lena, "
        "Mekong, Mackenzie, Niger, Brahmaputra, Murray, Tocantins, Volga, Indus, Euphrates, "
        "Madeira, Purús, Yukon, Danube, Orinoco, Ganges, Zambezi.",
    },
)
_LINES: Final = 127
LARGE: Final = WantedCall(
    "write_file",
    {
        "path": "large.txt",
        "text": "".join(
            f"{number}: neighbouring universities continue international cooperation\n"
            for number in range(1, _LINES)
        ),
    },
)
"""More than 8,192 bytes: some servers cut arguments there."""
