"""The rules of docs/format.md a second time: slow, over the whole text, looking ahead freely.

Nothing of the parser is used here but its event classes, so that a rule that was
misread there is not misread here. Where the parser has a table of states and holds
text back, this reads the list of markers with plain recursion; whether a string is
open is asked of `json`, again at each character.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from k2compat.toolcalls import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    Content,
    Event,
    Problem,
    Reasoning,
)
from tests.toolcalls.json_oracle import as_json_decides, could_become_an_object, string_is_open

WHITE = " \t\r\n"
KINDS = {
    "<|tool_calls_section_begin|>": "section begin",
    "<|tool_call_section_begin|>": "section begin",
    "<|tool_calls_section_end|>": "section end",
    "<|tool_call_section_end|>": "section end",
    "<|tool_call_begin|>": "call begin",
    "<|tool_call_argument_begin|>": "argument begin",
    "<|tool_arguments_begin|>": "argument begin",
    "<|tool_call_argument_end|>": "argument end",
    "<|tool_call_end|>": "call end",
    "<|im_end|>": "turn end",
    "[EOS]": "turn end",
    "[EOT]": "turn end",
}
THINK_KINDS = {"<think>": "think", "</think>": "think end"}
THINKS = ("think", "think end")
TEXT, END = "text", "end"


class Unit(NamedTuple):
    """A marker or what lies between two."""

    kind: str
    text: str
    at: int


class Said(NamedTuple):
    """What an id says."""

    name: str | None
    number: str | None
    canonical: bool = False
    foreign: bool = False


class SlowReading:
    """Reads a whole output.

    Attributes:
        events: what it says, but for the problems; neighbours are not joined.
        problems: what deviates.
    """

    def __init__(
        self,
        text: str,
        tools: Sequence[Mapping[str, Any]] | None = None,
        reasoning: str = "off",
        first_index: int = 0,
        keep_text_after_calls: bool = False,
        *,
        certain: bool = False,
    ) -> None:
        self.events: list[Event] = []
        self.problems: list[Problem] = []
        self._units = list(units(text, reasoning))
        self._next = 0
        self._certain = certain
        self._known = tools is not None
        self._tools = {tool["function"]["name"]: tool["function"] for tool in tools or ()}
        self._first_index = first_index
        self._keep = keep_text_after_calls
        self._thinking = "open" if reasoning == "prefilled" else "closed"
        self._after_calls = False
        self._calls = 0
        self._lifts_row_10 = False
        self._outside()

    def _kind(self, place: int) -> str:
        return self._units[place].kind if place < len(self._units) else END

    def _kind_behind_white(self, place: int) -> tuple[str, int]:
        while self._kind(place) == TEXT and not self._units[place].text.strip(WHITE):
            place += 1
        return self._kind(place), place

    def _take(self) -> Unit:
        self._next += 1
        return self._units[self._next - 1]

    def _problem(self, code: str, at: int, text: str) -> None:
        self.problems.append(Problem(code, at, text))

    def _stray(self, code: str, parts: list[Unit]) -> None:
        text = "".join(part.text for part in parts)
        if text.strip(WHITE):
            self._problem(code, parts[0].at, text)
        parts.clear()

    def _outside(self) -> None:
        stray: list[Unit] = []
        over = False
        while not over and self._kind(self._next) != END:
            unit = self._units[self._next]
            if unit.kind == TEXT:
                self._text_outside(self._take(), stray)
                continue
            self._stray("text-after-calls", stray)
            if unit.kind == "call begin":
                self._problem("section-begin-missing", unit.at, unit.text)
                over = self._section(marked=False)
            elif self._take().kind == "section begin":
                over = self._section(marked=True)
            elif unit.kind in THINKS:
                self._think(unit)
            else:
                over = unit.kind == "turn end"
        self._stray("text-after-calls", stray)
        for unit in self._units[self._next :]:
            if unit.kind == "turn end":
                self._stray("text-after-turn", stray)
            else:
                stray.append(unit)
        self._stray("text-after-turn", stray)

    def _text_outside(self, unit: Unit, stray: list[Unit]) -> None:
        if self._thinking == "open":
            self.events.append(Reasoning(unit.text))
        elif self._after_calls and not self._keep:
            stray.append(unit)
        else:
            self.events.append(Content(unit.text))

    def _think(self, unit: Unit) -> None:
        useless = "closed" if unit.kind == "think end" else "open"
        if self._thinking == useless:
            self._problem("think-marker-stray", unit.at, unit.text)
        self._thinking = "open" if unit.kind == "think" else "closed"

    def _section(self, *, marked: bool) -> bool:
        """Read a section; whether the turn ends in it."""
        calls_before = self._calls
        self._lifts_row_10 = False
        self._interrupt()
        over = self._read_section(marked=marked)
        if self._thinking == "interrupted":
            self._thinking = "open"
        if self._lifts_row_10 or self._calls > calls_before:
            self._after_calls = not self._lifts_row_10
        if not over and self._kind(self._next) == "section end":
            self._take()
        return over

    def _read_section(self, *, marked: bool) -> bool:
        stray: list[Unit] = []
        while (kind := self._kind(self._next)) != END:
            unit = self._units[self._next]
            if kind == TEXT and self._thinking == "open":
                self.events.append(Reasoning(self._take().text))
            elif kind == TEXT and (marked or not unit.text.strip(WHITE)):
                stray.append(self._take())
            elif kind == TEXT:
                # What stands behind an unmarked section begins with the white space before it.
                self._next -= len(stray)
                return False
            else:
                self._stray("text-between-calls", stray)
                if kind in ("section begin", "section end"):
                    return False
                if self._marker_ends_turn(self._take()):
                    return True
        self._stray("text-between-calls", stray)
        return False

    def _marker_ends_turn(self, unit: Unit) -> bool:
        if unit.kind in THINKS:
            self._think(unit)
        return unit.kind == "turn end" or (unit.kind == "call begin" and self._call_ends_turn(unit))

    def _interrupt(self) -> None:
        if self._thinking == "open":
            self._thinking = "interrupted"
            self._lifts_row_10 = True

    def _call_ends_turn(self, begin: Unit) -> bool:
        self._interrupt()
        header: list[Unit] = []
        while self._kind(self._next) in (TEXT, *THINKS, "argument end"):
            unit = self._take()
            header += [unit] if unit.kind != "argument end" else []
        text = "".join(unit.text for unit in header)
        at = header[0].at if header else begin.at + len(begin.text)
        kind = self._kind(self._next)
        if kind == "argument begin":
            marker = self._take()
            id_at = at + len(text) - len(text.lstrip(WHITE))
            return self._arguments(text.strip(WHITE), id_at, marker.at + len(marker.text))
        self._problem("call-header-cut" if kind == END else "call-header-broken", at, text)
        if kind in ("call end", "turn end"):
            self._take()
        return kind == "turn end"

    def _ends_although_open(self) -> bool:
        """Row 11: whether the marker in an open string is none of its text."""
        kind = self._kind(self._next)
        then, place = self._kind_behind_white(self._next + 1)
        if kind == "turn end":
            return then == END
        if kind == "call end" and then == "section end":
            then, _ = self._kind_behind_white(place + 1)
            return then in (END, "turn end", "section begin")
        return kind == "call end" and then in (END, "turn end", "call begin")

    def _arguments(self, raw_id: str, id_at: int, at: int) -> bool:
        """Read arguments; whether the turn ends with them."""
        said = read_id(raw_id, self._tools)
        name = said and (said.name or self._only_tool())
        if said is None:
            self._problem("call-id-invalid", id_at, raw_id)
        index = self._start(said, name, raw_id, id_at) if said and name else None
        kept, at, ended_by = self._argument_text(index, at)
        blank = not kept and ended_by in ("call end", "section end")
        if blank and said:
            kept = "{}"
            self._pass_on(index, "", kept)
        if index is None:
            found = self._find(said, kept) if said and as_json_decides(kept) else None
            if said and not found:
                self._problem("call-tool-unknown", id_at, raw_id)
            if kept and not found and not blank:
                self._problem("call-arguments-dropped", at, kept)
            if said and found:
                name, kept = found
                index = self._start(said, name, raw_id, id_at)
                self.events.append(ArgumentsDelta(index, kept))
        if index is not None:
            complete = as_json_decides(kept)
            if not (complete or (ended_by == END and could_become_an_object(kept))):
                self._problem("arguments-not-object", at, kept)
            self.events.append(CallEnd(index, complete))
        return ended_by == "turn end"

    def _argument_text(self, index: int | None, at: int) -> tuple[str, int, str]:
        """The arguments, where they begin, and what ended them."""
        written = ""
        while (kind := self._kind(self._next)) != END:
            unit = self._units[self._next]
            open_string = not self._certain and string_is_open(written)
            if kind in (TEXT, *THINKS) or (open_string and not self._ends_although_open()):
                new = self._take().text if written else self._take().text.lstrip(WHITE)
                at = at if written else unit.at + len(unit.text) - len(new)
                self._pass_on(index, kept_of(written), kept_of(written + new))
                written += new
            elif kind == "argument begin":
                self._problem("argument-marker-repeated", unit.at, self._take().text)
            elif kind == "argument end":
                self._take()
            else:
                break
        if kind not in ("call end", END):
            self._problem("call-end-missing", self._units[self._next].at, unit.text)
        if kind in ("call end", "turn end"):
            self._take()
        return kept_of(written), at, kind

    def _pass_on(self, index: int | None, before: str, kept: str) -> None:
        if index is not None and kept != before:
            self.events.append(ArgumentsDelta(index, kept[len(before) :]))

    def _start(self, said: Said, name: str, raw_id: str, at: int) -> int:
        index, self._calls = self._calls, self._calls + 1
        call_id = raw_id
        if not said.canonical:
            number = self._first_index + index if said.number is None else said.number
            call_id = f"functions.{name}:{number}"
            self._problem("call-id-repaired", at, raw_id)
        if self._known and name not in self._tools:
            self._problem("tool-undeclared", at, raw_id)
        self.events.append(CallStart(index, call_id, name))
        return index

    def _only_tool(self) -> str | None:
        return next(iter(self._tools)) if len(self._tools) == 1 else None

    def _find(self, said: Said, arguments: str) -> tuple[str, str] | None:
        """The tool that whole arguments tell, and what is passed on to it."""
        pairs = json.loads(arguments, object_pairs_hook=list)
        names = [value for key, value in pairs if key == "name"]
        if said.foreign and names and isinstance(names[-1], str) and names[-1] in self._tools:
            if "name" in self._tools[names[-1]]["parameters"]["properties"]:
                return names[-1], arguments
            return names[-1], without_name(arguments)
        given = {key for key, _ in pairs}
        fitting = [
            name
            for name, function in self._tools.items()
            if given <= set(function["parameters"]["properties"])
            and given >= set(function["parameters"]["required"])
        ]
        return (fitting[0], arguments) if len(fitting) == 1 else None


def units(text: str, reasoning: str) -> Iterator[Unit]:
    """The text cut into markers and what lies between them."""
    kinds = KINDS if reasoning == "off" else KINDS | THINK_KINDS
    at = 0
    for part in re.split("(" + "|".join(map(re.escape, kinds)) + ")", text):
        if part:
            yield Unit(kinds.get(part, TEXT), part, at)
        at += len(part)


def kept_of(written: str) -> str:
    """The arguments without white space at their end, but for that inside an open string."""
    end = len(written)
    while end and written[end - 1] in WHITE and not string_is_open(written[:end]):
        end -= 1
    return written[:end]


def without_name(arguments: str) -> str:
    """The object without its members "name", the others as they were written."""
    decoder = json.JSONDecoder()
    at, kept = 1, []
    while (start := len(arguments) - len(arguments[at:].lstrip(WHITE + ","))) < len(arguments) - 1:
        key, at = decoder.raw_decode(arguments, start)
        value_at = arguments.index(":", at) + 1
        value_at = len(arguments) - len(arguments[value_at:].lstrip(WHITE))
        _, at = decoder.raw_decode(arguments, value_at)
        kept += [arguments[start:at]] if key != "name" else []
        if arguments[at:].strip(WHITE) == "}":
            break
    return "{" + ", ".join(kept) + "}"


def read_id(text: str, declared: Iterable[str]) -> Said | None:
    """What an id says, form by form."""
    if match := re.fullmatch(r"functions\.([^\x00-\x20\x7f-\x9f]+):([0-9]+)", text):
        name, number = match.groups()
        if "<|" in name:
            return None
        by_digits = re.fullmatch("[0-9]+", name) and name not in declared
        return Said(None, number) if by_digits else Said(name, number, canonical=True)
    match = re.fullmatch(r"([A-Za-z0-9_.-]+):([0-9]+)", text)
    if match and match[1] != "functions.":
        by_digits = re.fullmatch("[0-9]+", match[1]) and match[1] not in declared
        return Said(None if by_digits else match[1], match[2])
    for name in sorted(declared, key=len, reverse=True):
        for form in (
            "functions_NAME_([0-9]+)",
            r"functions\.NAME([0-9]*)",
            "functionsNAME([0-9]+)",
        ):
            if match := re.fullmatch(form.replace("NAME", re.escape(name)), text):
                return Said(name, match[1] or None)
        if text == name:
            return Said(name, None)
    if match := re.fullmatch("(?:call)?([0-9]+)", text):
        return Said(None, match[1])
    return Said(None, None, foreign=True) if re.fullmatch("call_[0-9a-fA-F]+", text) else None
