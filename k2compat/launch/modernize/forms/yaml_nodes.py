"""YAML with the place of each node, and lists of words in it.

PyYAML's nodes have their place in the text, and their value after YAML's rules. A text within a
scalar is read in place only where source and value are the same except for spaces: escapes and
doubled quotes would have to be written back.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import yaml

from k2compat.errors import RefusedError
from k2compat.launch.modernize.command_text import (
    ALL_ARGUMENTS,
    CommandText,
    Document,
    Name,
    Part,
    Unread,
)
from k2compat.launch.modernize.forms.interface import NestedReader, holds_program
from k2compat.launch.modernize.forms.shell import read_words
from k2compat.launch.modernize.shell_text import FOLDED, SCRIPT, ShellWord

_EXPANDS: Final = re.compile(r"\$[({\w]")
# A scalar that YAML reads as the same text without quotes, at any place.
_PLAIN: Final = re.compile(r"[A-Za-z_./-][\w./:=+-]*(?<!:)")
_NOT_TEXT: Final = re.compile(r"(?i)~|null|true|false|yes|no|on|off|y|n|-+|\.(inf|nan)")

_COMMENT: Final = re.compile(r"[ \t]+#[^\n]*")

SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ash"})


def documents(text: str, start: int, end: int, form: str) -> list[yaml.Node]:
    """The documents between two places of a text.

    Raises:
        RefusedError: document-malformed.
    """
    try:
        nodes = list(yaml.compose_all(text[start:end], Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1 + text.count(chr(10), 0, start)}" if mark else ""
        raise RefusedError(
            "document-malformed",
            f"The text looks like a {form}, and is not YAML{where}.",
            hint="Render a template first: helm template CHART | k2compat modernize",
        ) from error
    return [node for node in nodes if node is not None]


def members(node: yaml.Node | None) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """A mapping's members: key node and value node by the key, merged ones last."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                merged = members(each) | merged
        else:
            own[str(key.value)] = (key, value)
    return merged | own


def mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Every mapping in a document, each once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, yaml.MappingNode):
            yield here
            waiting += [value for _, value in reversed(here.value)]
        elif isinstance(here, yaml.SequenceNode):
            waiting += reversed(here.value)


def scalars(node: yaml.Node | None) -> tuple[yaml.ScalarNode, ...]:
    """The scalars of a sequence; empty where it holds anything else."""
    if not isinstance(node, yaml.SequenceNode):
        return ()
    found = tuple(each for each in node.value if isinstance(each, yaml.ScalarNode))
    return found if len(found) == len(node.value) else ()


def name_at(node: yaml.ScalarNode, offset: int, value: str = "") -> Name:
    """A scalar, or what precedes `=` in it, as a name in the text."""
    begin = offset + node.start_mark.index + (node.style in ("'", '"'))
    text = str(node.value)
    name, equals, rest = text.partition("=")
    if equals and not value:
        return Name(begin, begin + len(name), name, rest)
    return Name(begin, begin + len(text), text, value)


def list_part(text: str, offset: int, nodes: Sequence[yaml.ScalarNode]) -> Part:
    """A sequence of scalars as a part of a command, one word each."""
    spans = [(offset + n.start_mark.index, end_with_comment(text, offset, n)) for n in nodes]
    words: list[ShellWord] = []
    for number, (node, (begin, _)) in enumerate(zip(nodes, spans, strict=True)):
        lead = text[spans[number - 1][1] : begin] if number else ""
        value = str(node.value)
        expands = _EXPANDS.search(value) is not None
        source = f'"{value}"' if expands else ShellWord.plain(value).source
        words.append(ShellWord(source, value, expands, lead=lead, place=number, at=begin))
    sources = tuple(text[begin:end] for begin, end in spans)
    between = words[1].lead if len(words) > 1 else _between(text, spans[0][0])
    return Part(spans[0][0], spans[-1][1], tuple(words), write_list, sources, between=between)


def _between(text: str, begin: int) -> str:
    """The text that would separate a list's only item from another one."""
    before = text[text.rfind("\n", 0, begin) + 1 : begin]
    return f"\n{before}" if before.strip() == "-" else ", "


def _end(text: str, offset: int, node: yaml.Node) -> int:
    """Where a node ends; a block scalar's end mark is after its last line break."""
    length = len(text[offset + node.start_mark.index : offset + node.end_mark.index].rstrip())
    return int(node.start_mark.index) + length


def end_with_comment(text: str, offset: int, node: yaml.Node) -> int:
    """Where a node ends in the text, with a comment after it on the same line."""
    end = offset + _end(text, offset, node)
    comment = _COMMENT.match(text, end)
    return comment.end() if comment else end


def write_list(part: Part, words: Sequence[ShellWord]) -> str:
    """Items in the style of their sequence: one on each line, or between commas."""
    items = []
    marks = {source[:1] for source in part.sources}
    mark = marks.pop() if len(marks) == 1 else ""
    for word in words:
        kept = word.place >= 0
        lead = word.lead if kept and word.place else part.between
        source = part.sources[word.place] if kept else quoted(word.value, mark)
        items.append(Item(word.place, lead, source))
    return write_items(part, items, part.between)


@dataclass(frozen=True, slots=True)
class Item:
    """An item to be written. `place`: the number of its first word in the part; -1: a new one."""

    place: int
    lead: str
    source: str


def write_items(part: Part, items: Sequence[Item], usual: str) -> str:
    """Items one after the other; the comment of a removed item gets a line of its own."""
    kept = {item.place for item in items}
    indent = usual[: len(usual) - len(usual.lstrip())].rpartition("\n")[2]
    comments = {
        place: f"\n{indent}{comment[0].strip()}"
        for place, source in enumerate(part.sources)
        if place not in kept and (comment := _COMMENT.search(source)) is not None
    }
    text = ""
    for number, item in enumerate(items):
        for place in [place for place in comments if place < item.place and number]:
            text += comments.pop(place)
        text += (item.lead if number else "") + item.source
    return text + "".join(comments.values())


def quoted(value: str, mark: str = "") -> str:
    """A text as a YAML scalar with the same value, in the quotes of its neighbours."""
    if mark in ("'", '"') and not {mark, "\\"}.intersection(value):
        return f"{mark}{value}{mark}"
    if _PLAIN.fullmatch(value) and not _NOT_TEXT.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read_scalar(
    text: str, offset: int, node: yaml.ScalarNode, syntax: str, nested: NestedReader
) -> Document:
    """The commands in a scalar, read in place.

    Args:
        text: The whole text.
        offset: Where the YAML begins in it.
        node: The scalar.
        syntax: SCRIPT or WORDS, see `shell_text`.
        nested: The reader of documents within documents.

    Raises:
        RefusedError: shell-unclosed.
    """
    begin, end = offset + node.start_mark.index, offset + _end(text, offset, node)
    if node.style in ("'", '"'):
        begin, end = begin + 1, end - 1
    elif node.style in ("|", ">"):
        begin = text.index("\n", begin) + 1
    inside = text[begin:end]
    if inside.split() != str(node.value).split():
        document = Document("")
        if holds_program(str(node.value)):
            document.unread.append(Unread(begin, inside[:40], "the text holds escapes of YAML"))
        return document
    if syntax == SCRIPT and node.style != "|":
        syntax = FOLDED
    return read_words(text, begin, end, syntax, nested)


def script_commands(
    text: str,
    offset: int,
    lists: Sequence[Sequence[yaml.ScalarNode]],
    nested: NestedReader,
) -> Document | None:
    """The commands of `sh -c SCRIPT NAME ARGUMENT…`, which may be spread over several lists.

    A command that ends in "$@" gets the arguments after the script.

    Args:
        text: The whole text.
        offset: Where the YAML begins in it.
        lists: The lists, in order.
        nested: The reader of documents within documents.

    Returns:
        The commands; None where the lists do not start a shell in this way.

    Raises:
        RefusedError: shell-unclosed.
    """
    words = [node for nodes in lists for node in nodes]
    script = script_of(words)
    if script is None:
        return None
    document = read_scalar(text, offset, script, SCRIPT, nested)
    given = words[words.index(script) + 2 :]
    behind = [[node for node in nodes if node in given] for nodes in lists]
    parts = [list_part(text, offset, nodes) for nodes in behind if nodes]
    document.commands = [_with_arguments(command, parts) for command in document.commands]
    return document


def _with_arguments(command: CommandText, given: Sequence[Part]) -> CommandText:
    """A command with the values of its "$@" added; the word itself stays."""
    *before, last = command.parts
    if not given or len(last.words) < 2 or last.words[-1].value != ALL_ARGUMENTS:
        return command
    *words, stands_for = last.words
    tail = stands_for.lead + stands_for.source + last.tail
    shorter = replace(last, words=tuple(words), tail=tail)
    return replace(command, parts=(*before, shorter, *given))


def script_of(words: Sequence[yaml.ScalarNode]) -> yaml.ScalarNode | None:
    """The script of `sh -c SCRIPT`; None where no shell is started in this way."""
    values = [str(node.value) for node in words]
    if not values or values[0].rsplit("/", 1)[-1] not in SHELLS:
        return None
    for number, value in enumerate(values[1:-1], 1):
        if re.fullmatch(r"-[a-z]*c", value):
            return words[number + 1]
    return None
