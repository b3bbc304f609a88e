"""Reads random texts with the parser and counts broken laws.

    python scripts/random_texts.py [COUNT] [SEED]

Each text is put together from markers, ids, arguments, look-alikes and noise,
and read with random options: whole, character by character, and cut at random
places. Counted are texts that raise, texts whose events or message depend on
the cuts (law 1), texts that lose a character (law 2), texts whose problems
are not at their places or whose other events are not in the text's order, and
texts that the second readings (`tests/toolcalls/slow_reading.py` and
`slow_forced.py`) read otherwise. What is exempt from law 2 is in
`tests/toolcalls/conservation.py`. Exits 1 if any count is not 0.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, not as a module

from k2compat.toolcalls import ArgumentsDelta, Content, Event, Problem, Reasoning, prepare_tools
from k2compat.toolcalls.markers import MARKERS, ROLE_MARKERS, marker_set
from tests.properties.test_toolcalls_reading import in_order, said
from tests.toolcalls.conservation import lost_characters
from tests.toolcalls.slow_forced import NotReadHereError, SlowForced
from tests.toolcalls.slow_reading import SlowReading
from tests.toolcalls.transcripts import Reading, merged, read

IDS = (
    *("functions.get:0", "functions.get:1", "functions.find:7", "functions.天气:3"),
    *("functions.5:5", "get:2", "functions_find_1", "functionsnow7", "now", "functions.now:0"),
    *("functions.a{b:1", "functions", "3", "call12", "call_0a9f", "toolu_01-x", "uuid-1"),
    "functions<read",
)
ARGUMENTS = (
    '{"city": "Paris"}',
    '{"query": "<|tool_call_end|>"}',
    '{"name": "find", "arguments": {"query": "}"}}',
    '{"name": "now", "parameters": "{}"}',
    '[{"name": "find", "arguments": {"query": 1}}, {"name": "now"}]',
    '{"open": "',
    '{"a": [1, {"b": null}',
    '"}',
    "{}",
    "[1, 2]",
    "{",
)
NOISE = (
    *("Hello", " ", "\n", "\\", '"', ":", ",", "[", "]", "}", "é", "天", "\ud800", "\x00", "<"),
    *("<|tool|>", "<|", "<|tool_call_", "[EO", "<think", "|>", "functions.", "<|im_us"),
    *ROLE_MARKERS,
)
TOOLS = [
    {
        "function": {
            "name": name,
            "parameters": {"properties": {key: {} for key in keys}, "required": keys[:1]},
        }
    }
    for name, keys in (("get", ["city"]), ("find", ["query", "name"]), ("now", []))
]
DECLARATIONS: tuple[list[dict[str, Any]] | None, ...] = (None, TOOLS, TOOLS[:1], [])
TOOL_SETS = [prepare_tools(tools) for tools in DECLARATIONS]
# Of forced calls: names, and arguments that are a scalar, none, or broken.
MEMBERS = (
    *('"name": "get"', '"name": "find"', '"name": "now"', '"name": "no"', '"name": 5'),
    *('"arguments": {"city": "<|tool_call_end|>"}', '"parameters": "{}"', '"id": "c1"'),
    *('"arguments": null', '"parameters": null', '"arguments": true', '"arguments": -1.5e3'),
    *('"arguments": tru', '"arguments": nulx', '"parameters": 1.', '"parameters": 01'),
    *('"arguments": {"a": fals}', '"parameters": [1, {"a": -}]', '"arguments": "\\x"', '"id": NaN'),
)
SCALARS = ("true", "nul", "-", "1.5e", "01", '"a', '"\\u00', "{}", '{"a": ', '{"a": tru}', "[-1]")

KINDS = ("raised", "chunk-dependent", "lost", "misplaced", "read otherwise")


def piece(source: random.Random) -> str:
    """A piece of text."""
    kind = source.random()
    if kind < 0.4:
        return source.choice(tuple(MARKERS))
    if kind < 0.7:
        return source.choice(source.choice((IDS, ARGUMENTS, NOISE)))
    end = source.choice(("<|tool_call_end|>", "<|tool_call_end|>", ""))
    begin = source.choice(("<|tool_call_begin|>", "<|tool_call_begin|>", ""))
    marker = source.choice(("<|tool_call_argument_begin|>",) * 3 + ("",))
    return begin + source.choice(IDS) + marker + source.choice(ARGUMENTS) + end


def forced_piece(source: random.Random, form: str) -> str:
    """A piece of the JSON that a forced form asks for, often broken."""
    if form == "arguments":
        key = source.choice(('{"city": ', '{"a": [', "{"))
        return key + source.choice(SCALARS) + source.choice(("}", "]}", ", ", ""))
    elements = (
        "{" + ", ".join(source.choices(MEMBERS, k=source.randrange(4))) + source.choice("}}}] ")
        for _ in range(source.randrange(4))
    )
    return "[" + source.choice((", ", ",", "\n")).join(elements) + source.choice(("]", "]", ""))


def random_text(source: random.Random, form: str) -> str:
    """A text for a parser of that form, in one of three cases cut at a random place."""
    pieces = [piece(source) for _ in range(source.randrange(12))]
    if form != "markers" and source.random() < 0.7:
        # Reasoning, markers and white space may be around the JSON.
        before = source.choice(("", "", " ", "<|tool_calls_section_begin|>", "Hm.</think>"))
        pieces = [before, forced_piece(source, form), *pieces[: source.randrange(4)]]
    text = "".join(pieces)
    return text[: source.randrange(len(text) + 1)] if source.random() < 0.3 else text


def random_options(source: random.Random) -> dict[str, Any]:
    """Options of a parser."""
    form = source.choice(("markers",) * 4 + ("calls", "arguments"))
    return {
        "tools": source.choice(TOOL_SETS),
        "reasoning": source.choice(("off", "tagged", "prefilled")),
        "first_index": source.randrange(3),
        "keep_text_after_calls": source.random() < 0.5,
        "form": form,
        "name": "get" if form == "arguments" else None,
        "max_calls": source.choice((None, None, None, 0, 1)),
        "recover_stripped": source.random() < 0.3,
    }


def cut(text: str, source: random.Random) -> Iterator[str]:
    """The text in pieces of random sizes."""
    at = 0
    while at < len(text):
        size = source.randrange(1, 12)
        yield text[at : at + size]
        at += size


def misplaces(text: str, events: list[Event], options: dict[str, Any]) -> bool:
    """Whether a problem's text is not at its place, or the events are not in the text's order.

    Arguments that the parser writes itself are left out: `{}` for none, those
    without another maker's name, and those that were a JSON string.
    """
    marker = marker_set(reasoning=options["reasoning"] != "off").pattern
    for event in events:
        # Markers in a problem's text may have been stripped.
        if isinstance(event, Problem) and not marker.sub("", text[event.at :]).startswith(
            marker.sub("", event.text)
        ):
            return True
    in_order = "".join(
        event.text
        for event in events
        if isinstance(event, Content | Reasoning)
        or (isinstance(event, ArgumentsDelta) and event.text != "{}" and event.text in text)
    )
    characters = iter(text)
    return not all(character in characters for character in in_order)


def is_read_otherwise(text: str, reading: Reading, options: dict[str, Any]) -> bool:
    """Whether the second reading differs; it passes over some of the forced forms' texts."""
    slow: SlowReading | SlowForced
    options = options | {"tools": DECLARATIONS[TOOL_SETS.index(options["tools"])]}
    if options["form"] == "markers":
        rest = {key: value for key, value in options.items() if key not in ("form", "name")}
        slow = SlowReading(text, **rest)
    else:
        try:
            slow = SlowForced(text, **options)
        except NotReadHereError:
            return False
    return (said(reading), in_order(reading.message.problems), reading.message.finish_reason) != (
        merged(slow.events),
        in_order(slow.problems),
        slow.finish_reason,
    )


def broken_law(text: str, options: dict[str, Any], source: random.Random) -> str | None:
    """What is wrong with the reading of a text, as one of `KINDS`, or None."""
    whole = read([text], **options)
    if not whole == read(text, **options) == read(cut(text, source), **options):
        return "chunk-dependent"
    if lost_characters(text, whole, options):
        return "lost"
    if misplaces(text, whole.events, options):
        return "misplaced"
    return "read otherwise" if is_read_otherwise(text, whole, options) else None


def main() -> int:
    """Read the texts and print the counts."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    source = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    counts = Counter(dict.fromkeys(KINDS, 0))
    for number in range(1, count + 1):
        options = random_options(source)
        text = random_text(source, options["form"])
        try:
            found = broken_law(text, options, source)
        except Exception as error:  # noqa: BLE001 - each is counted and shown
            found = "raised"
            print(f"{type(error).__name__}: {error}")
        if found:
            counts[found] += 1
            print(found, repr(text), {key: options[key] for key in options if key != "tools"})
        if number % 20_000 == 0:
            print(number, dict(counts), flush=True)
    print(f"{count} texts: {', '.join(f'{kind} {n}' for kind, n in counts.items())}")
    return 1 if counts.total() else 0


if __name__ == "__main__":
    sys.exit(main())
