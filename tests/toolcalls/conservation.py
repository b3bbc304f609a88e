"""Law 2 of docs/format.md: what of a text is in no event."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from k2compat.toolcalls import ArgumentsDelta, Content, Problem, Reasoning, ToolCall, codes
from k2compat.toolcalls.markers import WHITE_SPACE, marker_set
from tests.toolcalls.transcripts import Reading

FOREIGN = ("call_", "toolu_")
# The text of these problems is a marker, or is reported in another place too.
REPEATING = {
    codes.ARGUMENTS_NOT_OBJECT,
    codes.ARGUMENT_MARKER_MISSING,
    codes.ARGUMENT_MARKER_REPEATED,
    codes.CALL_ARGUMENTS_MISSING,
    codes.CALL_BEGIN_MISSING,
    codes.CALL_BEGIN_QUOTED,
    codes.CALL_END_MISSING,
    codes.CALL_ID_REPAIRED,
    codes.CALL_ID_REPEATED,
    codes.FORM_DIFFERENT,
    codes.MARKERS_STRIPPED,
    codes.OTHER_FORMAT,
    codes.SECTION_BEGIN_MISSING,
    codes.THINK_MARKER_STRAY,
    codes.TOOL_UNDECLARED,
}
# What an array of calls has beside the names and the arguments.
ARRAY_SYNTAX = set('[]{},:"namrgutspe')


def lost_characters(text: str, reading: Reading, options: dict[str, Any]) -> Counter[str]:
    """The characters of a text that are in no event, each as often as it is missing.

    Markers and white space are left out. So is what the parser removes or
    rewrites: of a call with another maker's id the one member `"name"` that named
    its tool, and of a forced array of calls the array's own syntax.
    """
    marker = marker_set(reasoning=options.get("reasoning", "off") != "off").pattern
    found = Counter("".join(marker.sub("", part) for part in _reported(reading)))
    found.update("".join(_removed_name(call, text) for call in reading.message.tool_calls))
    missing = Counter(marker.sub("", text)) - found
    exempt = set(WHITE_SPACE)
    if options.get("form") == "calls":
        exempt |= ARRAY_SYNTAX
    return Counter({each: count for each, count in missing.items() if each not in exempt})


def _reported(reading: Reading) -> Iterator[str]:
    for call in reading.message.tool_calls:
        yield call.raw_id or call.name  # a forced array has names in place of ids
    for event in reading.events:
        if isinstance(event, Content | Reasoning | ArgumentsDelta) or (
            isinstance(event, Problem) and event.code not in REPEATING
        ):
            yield event.text


def _removed_name(call: ToolCall, text: str) -> str:
    """The member that was removed from the arguments of a call with another maker's id."""
    is_rewritten = call.raw_id.startswith(FOREIGN) and call.arguments not in text
    return f'"name": "{call.name}",' if is_rewritten else ""
