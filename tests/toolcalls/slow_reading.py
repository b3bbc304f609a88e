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
ROLES = ("<|im_user|>", "<|im_assistant|>", "<|im_system|>")
TEXT, END = "text", "end"
STRIPPED = re.compile(r"[ \t\r\n]*(functions\.[^\x00-\x20\x7f-\x9f{]+:[0-9]+)[ \t\r\n]*\{")
CANNOT = re.compile(r"[\x00-\x20\x7f-\x9f]|<\|")


class Unit(NamedTuple):
    """A marker or what lies between two."""

    kind: str
    text: str
    at: int


class Said(NamedTuple):
    """The parts of an id."""

    name: str | None
    number: str | None
    canonical: bool = False
    foreign: bool = False


class Written(NamedTuple):
    """The arguments of a call, and how they end."""

    kept: str
    at: int
    ended_by: str
    place: int
    steps: list[str]
    problems: list[tuple[str, int, str]]


class Verdict(NamedTuple):
    """What follows a call begin, as far as it was looked into.

    `kind` is one of: quoted, call, toolless, object, cut, dropped, bare.
    """

    kind: str
    header: str = ""
    at: int = 0
    raw_id: str = ""
    id_at: int = 0
    place: int = 0
    rest: tuple[Unit, ...] = ()
    marker_missing: bool = False
    by_end_of_text: bool = False


class SlowReading:
    """Reads a whole output.

    Attributes:
        events: what it holds, but for the problems; neighbours are not joined.
        problems: what deviates.
        is_cut: whether the end of the text cut a call.
    """

    def __init__(
        self,
        text: str,
        tools: Sequence[Mapping[str, Any]] | None = None,
        reasoning: str = "off",
        first_index: int = 0,
        keep_text_after_calls: bool = False,
        max_calls: int | None = None,
        recover_stripped: bool = False,
        *,
        certain: bool = False,
    ) -> None:
        self.events: list[Event] = []
        self.problems: list[Problem] = []
        self.is_cut = False
        self._markers = markers_of(reasoning)
        self._units = list(units(text, reasoning))
        self._next = 0
        self._certain = certain
        self._known = tools is not None
        self._tools = {tool["function"]["name"]: tool["function"] for tool in tools or ()}
        self._first_index = first_index
        self._keep = keep_text_after_calls
        self._max_calls = max_calls
        self._thinking = "open" if reasoning == "prefilled" else "closed"
        self._after_calls = False
        self._ids: list[str] = []
        self._numbers = [-1]
        self._content: list[Unit] = []  # since reasoning or a section interrupted it
        self._outside()
        if not self._ids:
            self._end_without_calls(text, recover=recover_stripped)

    @property
    def finish_reason(self) -> str:
        if self.is_cut:
            return "length"
        return "tool_calls" if self._ids else "stop"

    def _kind(self, place: int) -> str:
        return self._units[place].kind if place < len(self._units) else END

    def _is_white(self, place: int) -> bool:
        return self._kind(place) == TEXT and not self._units[place].text.strip(WHITE)

    def _behind_white(self, place: int) -> int:
        while self._is_white(place):
            place += 1
        return place

    def _behind_turn_ends(self, place: int) -> int:
        while self._kind(place) == "turn end" or self._is_white(place):
            place += 1
        return place

    def _turn_is_over(self, place: int) -> bool:
        """Row 14, for an end of turn outside of arguments."""
        if self._certain:
            return True
        place = self._behind_turn_ends(place)
        if self._kind(place) == END:
            return True
        text = self._units[place].text.lstrip(WHITE)
        return self._kind(place) == TEXT and text.startswith(ROLES)

    def _take(self) -> Unit:
        self._next += 1
        return self._units[self._next - 1]

    def _problem(self, code: str, at: int, text: str) -> None:
        self.problems.append(Problem(code, at, text))

    def _stray(self, code: str, parts: list[Unit]) -> None:
        text = joined(parts)
        if text.strip(WHITE):
            self._problem(code, parts[0].at, text)
        parts.clear()

    def _outside(self) -> None:
        stray: list[Unit] = []
        while self._kind(self._next) != END:
            self._step_outside(stray)
        self._stray("text-after-calls", stray)

    def _step_outside(self, stray: list[Unit]) -> None:
        kind = self._kind(self._next)
        over = kind == "turn end" and self._turn_is_over(self._next)
        if kind == TEXT or (kind == "turn end" and not over):
            self._text_outside(self._take(), stray)
            return
        self._stray("text-after-calls", stray)
        if over:
            self._behind_the_turn()
        elif kind == "section begin":
            self._take()
            self._section(marked=True)
        elif kind == "call begin":
            if not self._quoted(self._next):
                self._section(marked=False)
        elif kind in THINKS:
            self._think(self._take())
        else:
            self._take()

    def _behind_the_turn(self) -> None:
        rest = self._units[self._behind_turn_ends(self._next) :]
        text = joined(rest)
        if text.strip(WHITE):
            at = rest[0].at + len(text) - len(text.lstrip(WHITE))
            self._problem("text-after-turn", at, text.lstrip(WHITE))
        self._next = len(self._units)

    def _text_outside(self, unit: Unit, stray: list[Unit]) -> None:
        if self._thinking == "open":
            self._content = []
            self.events.append(Reasoning(unit.text))
        elif self._after_calls and not self._keep:
            stray.append(unit)
        else:
            self._content.append(unit)
            self.events.append(Content(unit.text))

    def _is_stray(self, think: str) -> bool:
        return (self._thinking == "closed") == (think == "think end")

    def _think(self, unit: Unit) -> None:
        if self._is_stray(unit.kind):
            self._problem("think-marker-stray", unit.at, unit.text)
        else:
            self._thinking = "open" if unit.kind == "think" else "closed"

    def _quoted(self, place: int) -> bool:
        """Whether the call begin there was only talked about; then it is taken."""
        if self._judge(place).kind != "quoted":
            return False
        unit = self._take()
        self._problem("call-begin-quoted", unit.at, unit.text)
        return True

    # Sections.

    def _section(self, *, marked: bool) -> None:
        self._content = []
        in_reasoning = self._thinking == "open"
        if in_reasoning:
            self._thinking = "interrupted"
        if not marked:
            begin = self._units[self._next]
            self._problem("section-begin-missing", begin.at, begin.text)
        calls_before = len(self._ids)
        self._passages: list[list[Unit]] = [[]]
        self._begun = False
        self._read_section(marked=marked)
        if in_reasoning:
            self._after_calls = False
        elif len(self._ids) > calls_before:
            self._after_calls = True
        if self._thinking == "interrupted":
            self._thinking = "open"
        if not self._begun and "".join(map(joined, self._passages)).strip(WHITE):
            for passage in self._passages:
                stray: list[Unit] = []
                for unit in passage:
                    self._text_outside(unit, stray)
                self._stray("text-after-calls", stray)
        if self._kind(self._next) == "section end":
            self._take()

    def _read_section(self, *, marked: bool) -> None:
        while (kind := self._kind(self._next)) != END:
            unit = self._units[self._next]
            latest = self._passages[-1]
            if kind == "turn end" and self._turn_is_over(self._next):
                kind = "over"
            elif kind in (TEXT, "turn end"):
                if not marked and unit.text.strip(WHITE):
                    # What follows an unmarked section begins with the white space before it.
                    self._next -= len(latest)
                    latest.clear()
                    return
                latest.append(self._take())
                continue
            elif kind == "argument begin" and read_id(joined(latest).strip(WHITE), self._tools):
                self._call_without_begin(latest)
                continue
            self._close_passage(marked=marked)
            if kind in ("section begin", "section end", "over") or (
                kind in THINKS and not self._is_stray(kind)
            ):
                return
            if kind == "call begin":
                if not self._quoted(self._next):
                    self._call(self._judge(self._next))
                continue
            if kind in THINKS:
                self._think(unit)
            self._take()
        self._close_passage(marked=marked)

    def _close_passage(self, *, marked: bool) -> None:
        if self._begun:
            self._stray("text-between-calls", self._passages[-1])
        elif not marked:
            self._passages[-1].clear()
        else:
            self._passages.append([])

    def _begin(self) -> None:
        """A call begins: text before it was noise, unless the call counts for nothing."""
        if self._is_full():
            return
        self._begun = True
        for passage in self._passages:
            self._stray("text-between-calls", passage)
        self._passages = [[]]

    def _is_full(self) -> bool:
        return self._max_calls is not None and len(self._ids) >= self._max_calls

    # Headers.

    def _judge(self, place: int) -> Verdict:
        """What the call begin at that place begins; nothing changes."""
        begin = self._units[place]
        parts: list[Unit] = []
        place += 1
        while self._kind(place) in (TEXT, "argument end"):
            parts += [self._units[place]] if self._kind(place) == TEXT else []
            place += 1
        header = joined(parts)
        at = parts[0].at if parts else begin.at + len(begin.text)
        verdict = Verdict("quoted", header, at, header.strip(WHITE), place=place)
        verdict = verdict._replace(
            id_at=place_of(parts, len(header) - len(header.lstrip(WHITE)), at)
        )
        if verdict.raw_id.startswith("{"):
            return self._judge_object(verdict, place - len(parts), begin)
        whole = header
        if self._kind(place) == END and self._kind(place - 1) == TEXT and not self._certain:
            whole = without_partial_marker(header, self._markers)
            if not (stop_of(whole) is None and self._may_be_cut(whole)):
                whole = header
        stop = stop_of(whole)
        if stop is not None:
            return self._judge_stop(verdict, parts, stop)
        verdict = verdict._replace(raw_id=whole.strip(WHITE))
        return self._judge_marker(verdict, whole)

    def _judge_stop(self, verdict: Verdict, parts: list[Unit], stop: tuple[str, int]) -> Verdict:
        kind, offset = stop
        if kind == "quoted":
            return verdict
        at = place_of(parts, offset, verdict.at)
        end = self._units[verdict.place - 1]
        raw_id = verdict.header[:offset].strip(WHITE)
        # The units behind the brace, with the one that holds it cut there.
        rest = []
        place = verdict.place - 1
        while self._units[place].at > at:
            place -= 1
        holder = self._units[place]
        rest = [Unit(TEXT, holder.text[at - holder.at :], at)]
        assert end.at + len(end.text) >= at
        return verdict._replace(
            kind="call", raw_id=raw_id, place=place + 1, rest=tuple(rest), marker_missing=True
        )

    def _may_be_cut(self, header: str) -> bool:
        raw_id = header.strip(WHITE)
        return (
            read_id(raw_id, self._tools) is not None
            or raw_id.startswith("functions")
            or re.fullmatch("[A-Za-z0-9_.:-]*", raw_id) is not None
        )

    def _judge_marker(self, verdict: Verdict, header: str) -> Verdict:
        kind = self._kind(verdict.place)
        said = read_id(verdict.raw_id, self._tools)
        if kind == "argument begin":
            verdict = verdict._replace(place=verdict.place + 1)
            if said:
                return verdict._replace(kind="call")
            written = self._written(verdict.place, 0)
            fits = could_become_an_object(written.kept)
            return verdict._replace(kind="toolless" if fits else "quoted")
        if kind == END or (kind == "turn end" and self._turn_is_over(verdict.place)):
            fits = self._may_be_cut(header)
            return verdict._replace(kind="cut" if fits else "quoted", by_end_of_text=kind == END)
        if said is None or kind == "turn end":
            return verdict
        needs_nothing = said.name in self._tools and not required(self._tools[said.name])
        if kind == "call end" and needs_nothing:
            return verdict._replace(kind="bare", place=verdict.place + 1)
        return verdict._replace(kind="dropped", place=verdict.place + (kind == "call end"))

    def _judge_object(self, verdict: Verdict, _place: int, begin: Unit) -> Verdict:
        written = ""
        source = ""
        place = self._units.index(begin) + 1
        while (kind := self._kind(place)) != END:
            unit = self._units[place]
            is_open = not self._certain and string_is_open(written)
            if kind != TEXT and not (is_open and not self._ends_although_open(place)):
                if kind == "argument end":
                    place += 1
                    continue
                return verdict._replace(kind="quoted")
            for at, character in enumerate(unit.text):
                source += character
                written = (written + character).lstrip(WHITE)
                if character == "}" and as_json_decides(written):
                    rest = unit.text[at + 1 :]
                    found = self._object_call(written)
                    return verdict._replace(
                        kind="object" if found else "quoted",
                        raw_id=written,
                        place=place + 1,
                        rest=(Unit(TEXT, rest, unit.at + at + 1),) if rest else (),
                    )
            place += 1
        fits = could_become_an_object(kept_of(written))
        return verdict._replace(
            kind="cut" if fits else "quoted", header=source, place=place, by_end_of_text=True
        )

    def _object_call(self, text: str) -> tuple[str, str] | None:
        """Row 4a: the tool and the arguments that a whole object names."""
        members = dict(members_of(text))
        name = json.loads(members.get("name", "0"))
        written = ""
        for key in ("parameters", "arguments"):
            value = json.loads(members.get(key, "0"))
            text = value if isinstance(value, str) else members.get(key, "0")
            written = text if as_json_decides(text) else written
        if not isinstance(name, str) or not written:
            return None
        known = name in self._tools if self._known else re.fullmatch("[A-Za-z0-9_.-]+", name)
        return (name, written) if known else None

    # Calls.

    def _go_on_at(self, verdict: Verdict) -> None:
        """Go on behind what was judged; text that was cut in two goes on with its rest."""
        self._next = verdict.place
        if verdict.rest:
            self._next -= 1
            self._units[self._next] = verdict.rest[0]

    def _call(self, verdict: Verdict) -> None:
        if verdict.kind == "dropped":
            self._problem("call-header-broken", verdict.at, verdict.header)
            self._next = verdict.place
        elif verdict.kind == "cut":
            self._begin()
            self._problem("call-header-cut", verdict.at, verdict.header)
            if verdict.by_end_of_text and not self._is_full():
                self.is_cut = True
            self._next = verdict.place
        elif verdict.kind == "bare":
            self._next = verdict.place
            self._begin()
            self._problem("call-arguments-missing", verdict.id_at, verdict.raw_id)
            said = read_id(verdict.raw_id, self._tools)
            assert said
            self._call_written(said, verdict, Written("{}", 0, "call end", 0, ["{}"], []))
        elif verdict.kind == "object":
            self._go_on_at(verdict)
            self._call_of_object(verdict)
        else:
            self._go_on_at(verdict)
            if verdict.marker_missing:
                self._problem("argument-marker-missing", verdict.id_at, verdict.raw_id)
            self._arguments(verdict)

    def _call_of_object(self, verdict: Verdict) -> None:
        found = self._object_call(verdict.raw_id)
        assert found
        self._begin()
        self._problem("call-header-object", verdict.id_at, verdict.raw_id)
        if self._is_full():
            self._problem("call-surplus", verdict.id_at, verdict.raw_id)
            return
        name, arguments = found
        index = len(self._ids)
        self._issue(Said(name, None), name, "")
        self.events += [CallStart(index, self._ids[-1], name), ArgumentsDelta(index, arguments)]
        self.events.append(CallEnd(index, True))

    def _call_without_begin(self, latest: list[Unit]) -> None:
        header = joined(latest)
        id_at = place_of(latest, len(header) - len(header.lstrip(WHITE)), latest[0].at)
        raw_id = header.strip(WHITE)
        latest.clear()
        self._problem("call-begin-missing", id_at, raw_id)
        marker = self._take()
        self._arguments(Verdict("call", raw_id=raw_id, id_at=id_at, at=marker.at, place=self._next))

    def _ends_although_open(self, place: int) -> bool:
        """Row 11: whether the marker in an open string is none of its text."""
        kind = self._kind(place)
        if kind == "turn end":
            return self._kind(self._behind_turn_ends(place)) == END
        if kind != "call end":
            return False
        place = self._behind_white(place + 1)
        if self._kind(place) == "section end":
            place = self._behind_white(place + 1)
            if self._kind(place) == "section begin":
                return True
        elif self._kind(place) == "call begin":
            return True
        return self._kind(self._behind_turn_ends(place)) == END

    def _arguments(self, verdict: Verdict) -> None:
        """Read arguments."""
        said = read_id(verdict.raw_id, self._tools)
        before = self._units[self._next - 1]
        written = self._written(self._next, before.at + len(before.text))
        if said:
            self._begin()
        for problem in written.problems:
            self._problem(*problem)
        self._next = written.place
        blank = not written.kept and written.ended_by in ("call end", "section end")
        if blank and said:
            written = written._replace(kept="{}", steps=["{}"])
        if written.ended_by == END and not as_json_decides(written.kept):
            self.is_cut = self.is_cut or not (said and self._is_full())
        if said is None:
            self._problem("call-id-invalid", verdict.id_at, verdict.raw_id)
            if written.kept:
                self._problem("call-arguments-dropped", written.at, written.kept)
            return
        self._call_written(said, verdict, written, blank=blank)

    def _call_written(
        self, said: Said, verdict: Verdict, written: Written, *, blank: bool = True
    ) -> None:
        name = said.name or (None if said.foreign else self._only_tool())
        kept = written.kept
        steps = written.steps
        if self._is_full():
            self._problem("call-surplus", verdict.id_at, verdict.raw_id)
            name = None
        elif name is None:
            if found := self._find(said, kept):
                name, kept = found
                steps = [kept] if kept else []
            else:
                self._problem("call-tool-unknown", verdict.id_at, verdict.raw_id)
        if name is None:
            if kept and not blank:
                self._problem("call-arguments-dropped", written.at, kept)
            return
        index = len(self._ids)
        self._issue(said, name, verdict.raw_id, verdict.id_at)
        self.events.append(CallStart(index, self._ids[-1], name))
        self.events += [ArgumentsDelta(index, step) for step in steps]
        complete = as_json_decides(kept)
        if not (complete or (written.ended_by == END and could_become_an_object(kept))):
            self._problem("arguments-not-object", written.at, kept)
        self.events.append(CallEnd(index, complete))

    def _written(self, place: int, at: int) -> Written:
        """The arguments from that place on, and what ends them; nothing changes."""
        written = ""
        steps: list[str] = []
        problems = []
        while (kind := self._kind(place)) != END:
            unit = self._units[place]
            is_open = not self._certain and string_is_open(written)
            if kind in (TEXT, *THINKS) or (is_open and not self._ends_although_open(place)):
                new = unit.text if written else unit.text.lstrip(WHITE)
                at = at if written else unit.at + len(unit.text) - len(new)
                before = kept_of(written)
                written += new
                steps += filter(None, [kept_of(written)[len(before) :]])
            elif kind == "argument begin":
                problems.append(("argument-marker-repeated", unit.at, unit.text))
            elif kind != "argument end":
                break
            place += 1
        if kind not in ("call end", END):
            unit = self._units[place]
            problems.append(("call-end-missing", unit.at, unit.text))
        return Written(kept_of(written), at, kind, place + (kind == "call end"), steps, problems)

    def _issue(self, said: Said, name: str, raw_id: str, at: int = 0) -> None:
        number = said.number
        default = self._first_index + len(self._ids)
        call_id = raw_id if said.canonical else f"functions.{name}:{number or default}"
        value = default if number is None else int(number)
        compared = number is None or len(number) < 16
        taken = call_id in self._ids or (compared and value < self._first_index)
        if taken:
            compared = True
            value = max(default, max(self._numbers) + 1)
            while f"functions.{name}:{value}" in self._ids:
                value += 1
            call_id = f"functions.{name}:{value}"
        if raw_id:
            if not said.canonical:
                self._problem("call-id-repaired", at, raw_id)
            if taken and number is not None:
                self._problem("call-id-repeated", at, raw_id)
            if self._known and name not in self._tools:
                self._problem("tool-undeclared", at, raw_id)
        if compared:
            self._numbers.append(value)
        self._ids.append(call_id)

    def _only_tool(self) -> str | None:
        return next(iter(self._tools)) if len(self._tools) == 1 else None

    def _find(self, said: Said, arguments: str) -> tuple[str, str] | None:
        """The tool that the arguments decide, and what is passed on to it."""
        whole = as_json_decides(arguments)
        pairs = json.loads(arguments, object_pairs_hook=list) if whole else []
        names = [value for key, value in pairs if key == "name"]
        if said.foreign and names and isinstance(names[-1], str) and names[-1] in self._tools:
            if "name" in self._tools[names[-1]]["parameters"]["properties"]:
                return names[-1], arguments
            return names[-1], without_name(arguments)
        if only := self._only_tool():
            return only, arguments
        given = {key for key, _ in pairs}
        fitting = [
            name
            for name, function in self._tools.items()
            if given <= set(function["parameters"]["properties"])
            and given >= set(function["parameters"]["required"])
        ]
        return (fitting[0], arguments) if whole and len(fitting) == 1 else None

    def _end_without_calls(self, text: str, *, recover: bool) -> None:
        content = joined(self._content)
        found = self._stripped(content)
        if found:
            at = place_of(self._content, found[0][0], 0)
            self._problem("markers-stripped", at, found[0][1])
        if recover and found:
            self._without_end(len(content) - found[0][0])
            for offset, raw_id, begin, arguments in found:
                at = place_of(self._content, offset, 0)
                arguments_at = place_of(self._content, begin, 0)
                said = read_id(raw_id, self._tools)
                assert said
                verdict = Verdict("call", raw_id=raw_id, id_at=at)
                written = Written(arguments, arguments_at, "call end", 0, [arguments], [])
                self._call_written(said, verdict, written, blank=False)
        if self._ids:
            return
        content = "".join(event.text for event in self.events if isinstance(event, Content))
        thought = "".join(event.text for event in self.events if isinstance(event, Reasoning))
        if all(marker in content + thought for marker in ("<|open|>", "<|sep|>", "<|close|>")):
            self._problem("other-format", text.index("<|open|>"), "<|open|>")

    def _without_end(self, length: int) -> None:
        """Take so many characters from the end of the content."""
        while length:
            last = self.events.pop()
            assert isinstance(last, Content)
            kept = last.text[: max(0, len(last.text) - length)]
            length -= len(last.text) - len(kept)
            self.events += [Content(kept)] if kept else []

    def _stripped(self, content: str) -> list[tuple[int, str, int, str]]:
        """The calls without markers that the content ends in."""
        at = 0
        while (at := content.find("functions.", at)) >= 0:
            found = []
            while match := STRIPPED.match(content, at):
                said = read_id(match[1], self._tools)
                known = said and said.name and (not self._known or said.name in self._tools)
                begin = match.end() - 1
                end = end_of_object(content, begin) if known and "<|" not in match[1] else None
                if end is None:
                    break
                found.append((match.start(1), match[1], begin, content[begin:end]))
                at = end
            rest = content[at:].lstrip(WHITE)
            if found and not rest:
                return found
            at = len(content) - len(rest) + 1
        return []


def end_of_object(text: str, begin: int) -> int | None:
    for end in range(begin + 1, len(text) + 1):
        if text[end - 1] == "}" and as_json_decides(text[begin:end]):
            return end
    return None


def joined(parts: Iterable[Unit]) -> str:
    return "".join(part.text for part in parts)


def place_of(parts: Sequence[Unit], offset: int, at: int) -> int:
    """The place in the output of a character of joined parts."""
    for part in parts:
        if offset < len(part.text):
            return part.at + offset
        offset -= len(part.text)
    return parts[-1].at + len(parts[-1].text) if parts else at


def stop_of(header: str) -> tuple[str, int] | None:
    """The first thing in a header that no id can hold, and its offset."""
    begin = len(header) - len(header.lstrip(WHITE))
    for at in range(begin, len(header)):
        character, before = header[at], header[begin:at].strip(WHITE)
        if character == "{" and "{" not in before and is_canonical(before):
            return "arguments", at
        if character in WHITE:
            rest = header[at:].lstrip(WHITE)
            if rest and not rest.startswith("{"):
                return "quoted", at
        elif (header[at - 1] in WHITE and at > begin) or re.match(
            r"[\x00-\x20\x7f-\x9f]|<\|", header[at:]
        ):
            return "quoted", at
    return None


def is_canonical(text: str) -> bool:
    name = re.fullmatch(r"functions\.([^\x00-\x20\x7f-\x9f]+):[0-9]+", text)
    return name is not None and "<|" not in text


def without_partial_marker(text: str, markers: Iterable[str]) -> str:
    """The text without the beginning of a marker at its end."""
    for marker in markers:
        for length in range(1, len(marker)):
            if text.endswith(marker[:length]):
                return text[:-length]
    return text


def required(function: Mapping[str, Any]) -> list[str]:
    names: list[str] = function["parameters"]["required"]
    return names


def members_of(text: str) -> Iterator[tuple[str, str]]:
    """The members of an object, each value as written."""
    decoder = json.JSONDecoder()
    at = 1
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(WHITE + ","))
        if text[at] == "}":
            return
        key, at = decoder.raw_decode(text, at)
        begin = text.index(":", at) + 1
        begin += len(text[begin:]) - len(text[begin:].lstrip(WHITE))
        _, at = decoder.raw_decode(text, begin)
        yield key, text[begin:at]


def markers_of(reasoning: str) -> Mapping[str, str]:
    return KINDS if reasoning == "off" else KINDS | THINK_KINDS


def units(text: str, reasoning: str) -> Iterator[Unit]:
    """The text cut into markers and what lies between them."""
    kinds = markers_of(reasoning)
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
    return read_nameless(text)


def read_nameless(text: str) -> Said | None:
    if re.fullmatch("[0-9]+", text):
        return Said(None, text)
    if re.fullmatch("call[0-9]+", text):
        return Said(None, None)
    for form in (
        "call_[A-Za-z0-9_]+",
        "toolu_[A-Za-z0-9_-]+",
        "tooluse_[A-Za-z0-9_-]+",
        "chatcmpl-tool-[A-Za-z0-9_-]+",
        "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        "[0-9a-fA-F]{32}",
    ):
        if re.fullmatch(form, text):
            return Said(None, None, foreign=True)
    return None
