"""What vLLM's own kimi_k2 parsers make of the scripts, where they differ from `parse`."""

from typing import NamedTuple

from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.toolcalls import parse


class Answer(NamedTuple):
    """What a client has at the end: reasoning, content, calls (id, name, arguments), the reason."""

    reasoning: str
    content: str
    calls: list[tuple[str, str, str]]
    finish_reason: str | None


def ours(keyword: str) -> Answer:
    """What `parse` makes of a script.

    `launch` renders --reasoning-parser, because the talking model's template begins a thought when
    it is asked to. A request that switches thinking off makes that parser read none.
    """
    script = SCRIPTS[keyword]
    message = parse(script.text, TOOLS, reasoning="prefilled" if script.is_prefilled else "off")
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    return Answer(message.reasoning or "", message.content or "", calls, message.finish_reason)


def _with_one_call(content: str, name: str, arguments: str, prefix: str = "functions.") -> Answer:
    return Answer("", content, [(f"{prefix}{name}:0", name, arguments)], "tool_calls")


# The id stays as the model wrote it.
_NO_PREFIX = _with_one_call("Without a prefix.", "get_weather", '{"city": "Lima"}', prefix="")
# Broken arguments end as whole ones do.
_BREAKS_OFF = "The arguments break off."
_BROKEN = '{"city": "Delhi", "unit":'

WHOLE = {
    "@noprefix": _NO_PREFIX,
    "@broken": _with_one_call(_BREAKS_OFF, "get_weather", _BROKEN),
    # A marker inside a JSON string ends the call: the arguments are cut there.
    "@quote": _with_one_call(
        "I write that down.", "write_file", '{"path": "format.md", "text": "A call ends with'
    ),
}
"""Answers without streaming, by keyword; every other one is `ours`."""

STREAMED = {
    "@noprefix": _NO_PREFIX,
    "@broken": _with_one_call(_BREAKS_OFF, "get_weather", f"{_BROKEN} "),
    # A stream keeps the white space around arguments that a whole answer strips.
    "@blank": _with_one_call("White space surrounds it.", "get_weather", ' \n{"city": "Kyiv"}\n '),
}
"""Streamed answers, by keyword; every other one is `ours`."""
