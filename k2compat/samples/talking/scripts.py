"""The scripts: what the talking model answers to each keyword.

Each script shows one way in which models of the family answer, or deviate from their format.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

SECTION_BEGIN: Final = "<|tool_calls_section_begin|>"
SECTION_END: Final = "<|tool_calls_section_end|>"
CALL_BEGIN: Final = "<|tool_call_begin|>"
ARGUMENT_BEGIN: Final = "<|tool_call_argument_begin|>"
CALL_END: Final = "<|tool_call_end|>"
THINK_BEGIN: Final = "<think>"
THINK_END: Final = "</think>"

TOOL_MARKERS: Final = (SECTION_BEGIN, SECTION_END, CALL_BEGIN, ARGUMENT_BEGIN, CALL_END)
MARKERS: Final = (*TOOL_MARKERS, THINK_BEGIN, THINK_END)


class Script(NamedTuple):
    """An answer.

    Attributes:
        parts: The text in pieces. A part that equals a marker is the marker's token; any other
            part is text, even where it contains a marker's characters.
        reasoning: The mode in which `k2compat.toolcalls` reads the answer. "prefilled": the
            prompt ends with `<think>`.
        is_well_formed: Whether the answer follows the format without a deviation.
    """

    parts: tuple[str, ...]
    reasoning: Literal["off", "tagged", "prefilled"] = "off"
    is_well_formed: bool = True

    @property
    def text(self) -> str:
        """The answer, markers included, without the end of turn."""
        return "".join(self.parts)

    @property
    def is_prefilled(self) -> bool:
        """Whether the prompt ends with `<think>`."""
        return self.reasoning == "prefilled"


def call_parts(call_id: str, arguments: str) -> tuple[str, ...]:
    """The parts of one call.

    Args:
        call_id: Such as "functions.get_weather:0".
        arguments: The text behind the argument marker.
    """
    return CALL_BEGIN, call_id, ARGUMENT_BEGIN, arguments, CALL_END


def section_parts(*calls: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of one section of calls."""
    return SECTION_BEGIN, *(part for call in calls for part in call), SECTION_END


_PARIS: Final = call_parts("functions.get_weather:0", '{"city": "Paris"}')

SCRIPTS: Final[Mapping[str, Script]] = {
    "@weather": Script(("Let me look it up.", *section_parts(_PARIS))),
    "@two": Script(
        (
            "我查一下两个城市的天气。",
            *section_parts(
                call_parts("functions.get_weather:0", '{"city": "北京"}'),
                call_parts("functions.get_weather:1", '{"city": "上海", "unit": "celsius"}'),
            ),
        )
    ),
    "@only": Script(section_parts(call_parts("functions.get_weather:0", '{"city": "Oslo"}'))),
    "@plain": Script(("The sky is blue because air scatters short waves most.",)),
    "@quote": Script(
        (
            "I write that down.",
            *section_parts(
                call_parts(
                    "functions.write_file:0",
                    '{"path": "format.md", "text": "A call ends with <|tool_call_end|> and then '
                    '<|tool_calls_section_end|> follows."}',
                )
            ),
        )
    ),
    "@think": Script(
        (
            THINK_BEGIN,
            "The user asks for Rome; a call helps.",
            THINK_END,
            "One moment.",
            *section_parts(call_parts("functions.get_weather:0", '{"city": "Rome"}')),
        ),
        reasoning="tagged",
    ),
    "@begun": Script(
        (
            "It is about Bern, so I ask the tool.",
            THINK_END,
            "Checking Bern.",
            *section_parts(call_parts("functions.get_weather:0", '{"city": "Bern"}')),
        ),
        reasoning="prefilled",
    ),
    "@noprefix": Script(
        (
            "Without a prefix.",
            *section_parts(call_parts("get_weather:0", '{"city": "Lima"}')),
        ),
        is_well_formed=False,
    ),
    "@counter": Script(
        (
            "And the next one.",
            *section_parts(call_parts("functions.get_weather:3", '{"city": "Quito"}')),
        )
    ),
    "@noend": Script(
        (
            "The section stays open.",
            SECTION_BEGIN,
            *call_parts("functions.get_weather:0", '{"city": "Cairo"}'),
        ),
        is_well_formed=False,
    ),
    "@behind": Script(
        (
            "A call comes first.",
            *section_parts(call_parts("functions.get_weather:0", '{"city": "Seoul"}')),
            "This text follows the calls.",
        ),
        is_well_formed=False,
    ),
    "@empty": Script(
        ("What time is it?", *section_parts(call_parts("functions.get_time:0", "{}")))
    ),
    "@undeclared": Script(
        (
            "I use a tool of my own.",
            *section_parts(call_parts("functions.delete_all:0", '{"sure": true}')),
        ),
        is_well_formed=False,
    ),
    "@blank": Script(
        (
            "White space surrounds it.",
            *section_parts(call_parts(" functions.get_weather:0\n", ' \n{"city": "Kyiv"}\n ')),
        ),
        is_well_formed=False,
    ),
    "@broken": Script(
        (
            "The arguments break off.",
            *section_parts(call_parts("functions.get_weather:0", '{"city": "Delhi", "unit": ')),
        ),
        is_well_formed=False,
    ),
    "@emoji": Script(
        (
            "Sunny 🌞, I hope 🤞🏽!",
            *section_parts(call_parts("functions.get_weather:0", '{"city": "Cancún 🏖️"}')),
        )
    ),
}
"""By the last word of the last user message."""

FALLBACK: Final = Script(("I know no script of that name.",))
"""The answer to a prompt whose last word is no keyword."""

TOOLS: Final[tuple[Mapping[str, object], ...]] = tuple(
    {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": {member: {"type": "string"} for member in members},
                "required": members[:1],
            },
        },
    }
    for name, description, members in (
        ("get_weather", "The weather of a city.", ["city", "unit"]),
        ("get_time", "The time of day.", []),
        ("write_file", "Write a text file.", ["path", "text"]),
    )
)
"""The tools that the scripts call, but the one of "@undeclared"; as a request declares them."""
