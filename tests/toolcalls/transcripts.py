"""Reads the transcripts under fixtures/, and feeds text to the parser in many ways."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from k2compat.toolcalls import (
    ArgumentsDelta,
    Content,
    Event,
    Message,
    Problem,
    Reasoning,
    StreamParser,
    ToolCall,
)
from k2compat.toolcalls.markers import MARKERS, marker_set

FOLDER = Path(__file__).parents[2] / "fixtures" / "transcripts"
MARKER_IDS = dict(enumerate(MARKERS, start=163595))
TOKEN_IDS = {marker: token_id for token_id, marker in MARKER_IDS.items()}
TEXT_TOKEN = 17
# Spellings that no tokenizer of the family has a token for: models write them in several tokens.
WITHOUT_TOKEN = frozenset(
    (
        "<|tool_call_section_begin|>",
        "<|tool_call_section_end|>",
        "<|tool_arguments_begin|>",
        "<|tool_call_argument_end|>",
    )
)


class Transcript(NamedTuple):
    name: str
    pieces: list[str]
    options: dict[str, Any]
    token_ids: str
    expected: Message

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Reading(NamedTuple):
    events: list[Event]
    message: Message


def declare(tools: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """OpenAI tool dicts from the short form used in the transcripts."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool["name"],
                "parameters": {
                    "type": "object",
                    "properties": {key: {} for key in tool.get("properties", ())},
                    "required": tool.get("required", []),
                },
            },
        }
        for tool in tools
    ]


def load(path: Path) -> Transcript:
    case = tomllib.loads(path.read_text("utf-8"))
    options = case.get("options", {})
    if "tools" in options:
        options["tools"] = declare(options["tools"])
    expected = case["expected"]
    message = Message(
        content=expected.get("content"),
        reasoning=expected.get("reasoning"),
        tool_calls=tuple(
            ToolCall(**({"raw_id": call["id"]} | call)) for call in expected.get("tool_calls", ())
        ),
        problems=tuple(Problem(**problem) for problem in expected.get("problems", ())),
        finish_reason=expected["finish_reason"],
    )
    return Transcript(path.stem, case["text"], options, case.get("token_ids", "too"), message)


def transcripts() -> list[Transcript]:
    return [load(path) for path in sorted(FOLDER.glob("*.toml"))]


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def at_markers(text: str, *, reasoning: bool = True) -> Iterator[str]:
    """The text cut into markers and what lies between them."""
    at = 0
    for match in marker_set(reasoning=reasoning).pattern.finditer(text):
        yield from filter(None, (text[at : match.start()], match[0]))
        at = match.end()
    yield from filter(None, (text[at:],))


def read(chunks: Iterable[str], **options: Any) -> Reading:
    parser = StreamParser(**options)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    events += parser.finish()
    return Reading(merged(events), parser.message)


def read_tokens(tokens: Iterable[str], **options: Any) -> Reading:
    """Each piece is a token; one that is a marker has the marker's id."""
    parser = StreamParser(marker_ids=MARKER_IDS, **options)
    events = [
        event
        for token in tokens
        for event in parser.feed_token(TOKEN_IDS.get(token, TEXT_TOKEN), token)
    ]
    events += parser.finish()
    return Reading(merged(events), parser.message)


def merged(events: Iterable[Event]) -> list[Event]:
    """The events with neighbours of one kind joined."""
    result: list[Event] = []
    for event in events:
        match (result[-1] if result else None, event):
            case Content(before), Content(text):
                result[-1] = Content(before + text)
            case Reasoning(before), Reasoning(text):
                result[-1] = Reasoning(before + text)
            case ArgumentsDelta(index, before), ArgumentsDelta(other, text) if index == other:
                result[-1] = ArgumentsDelta(index, before + text)
            case _:
                result.append(event)
    return result


def call(call_id: str, arguments: object) -> str:
    """One call as the model writes it; arguments that are no text become JSON."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f"<|tool_call_begin|>{call_id}<|tool_call_argument_begin|>{text}<|tool_call_end|>"


def section(*calls: str) -> str:
    return "<|tool_calls_section_begin|>" + "".join(calls) + "<|tool_calls_section_end|>"
