"""The file of `vllm serve --config FILE`: flags without their dashes as the keys of a YAML mapping.

`tensor-parallel-size: 16` is `--tensor-parallel-size 16`, `enforce-eager: true` is
`--enforce-eager`, a list is several values, a mapping is JSON. A flag that is false is not given.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

import yaml

from k2compat.errors import RefusedError
from k2compat.launch.engines import engine_names
from k2compat.launch.flags import Exact, changes_of, flag_table, programs_of, table_versions
from k2compat.launch.modernize.command_text import CommandText, Document, Part
from k2compat.launch.modernize.forms.interface import NestedReader
from k2compat.launch.modernize.forms.yaml_nodes import (
    Item,
    documents,
    end_with_comment,
    members,
    quoted,
    write_items,
)
from k2compat.launch.modernize.shell_text import ShellWord

NAME: Final = "config file"

_FIRST_KEY: Final = re.compile(r"\A(?:\s*(?:#.*)?\n|---\s*\n)*[\w-]+:(?:\s|\Z)")


def recognizes(text: str) -> bool:
    """Whether the text is a mapping whose keys are an engine's flags or settings."""
    if _FIRST_KEY.match(text) is None:
        return False
    try:
        keys = [*members(_top(text))]
    except RefusedError:
        return False
    return _engine_of(keys) != "" or _has_settings(keys)


def read(text: str, start: int, end: int, nested: NestedReader) -> Document:
    """The flags in the file as one command.

    Raises:
        RefusedError: document-malformed.
    """
    del nested
    document = Document(NAME)
    top = _top(text[start:end])
    engine = _engine_of([*members(top)])
    if not engine:
        document.settings.append((start, end))
        return document
    part = _part(text, start, [(k, v) for k, v in top.value if not _is_false(v)])
    document.commands.append(CommandText((part,), settings_of=engine))
    return document


def _top(text: str) -> yaml.Node:
    nodes = documents(text, 0, len(text), NAME)
    return nodes[0] if len(nodes) == 1 else yaml.MappingNode("", [])


def _engine_of(keys: Sequence[str]) -> str:
    """The engine whose flags most of the keys are."""
    for engine in engine_names():
        config = programs_of(engine).config_file
        if config is None or not keys:
            continue
        tables = [flag_table(engine, version, config) for version in table_versions(engine)]
        known = [
            key
            for key in keys
            if any(isinstance(table.resolve(f"--{key}"), Exact) for table in tables)
        ]
        if 2 * len(known) > len(keys):
            return engine
    return ""


def _has_settings(keys: Sequence[str]) -> bool:
    """Whether a key at the top is a section of an engine's settings file."""
    return any(
        change.flag.split(".")[0] in keys
        for engine in engine_names()
        if (settings := programs_of(engine).settings_file) is not None
        for change in changes_of(engine, settings.entry)
    )


def _is_false(value: yaml.Node) -> bool:
    return value.tag == "tag:yaml.org,2002:bool" and str(value.value).lower() in _FALSE


_FALSE: Final = frozenset({"false", "no", "off"})


def _part(text: str, start: int, entries: Sequence[tuple[yaml.Node, yaml.Node]]) -> Part:
    """The entries as words: the whole entry is the flag's source, and its values have no source."""
    words: list[ShellWord] = []
    sources: list[str] = []
    reached = start + entries[0][0].start_mark.index
    for key, value in entries:
        begin = start + key.start_mark.index
        stop = end_with_comment(text, start, value)
        lead = text[reached:begin]
        for number, each in enumerate((f"--{key.value}", *_values(value))):
            plain = ShellWord.plain(each)
            at = begin if number == 0 else -1
            words.append(
                ShellWord(plain.source, each, "$" in each, lead=lead, place=len(words), at=at)
            )
            sources.append(text[begin:stop] if number == 0 else "")
        reached = stop
    return Part(words[0].at, reached, tuple(words), _write, tuple(sources))


def _values(node: yaml.Node) -> Iterator[str]:
    if node.tag == "tag:yaml.org,2002:bool":
        return
    if isinstance(node, yaml.ScalarNode):
        yield str(node.value)
        return
    value = yaml.SafeLoader("").construct_document(node)
    if isinstance(value, list):
        yield from (each if isinstance(each, str) else json.dumps(each) for each in value)
    else:
        yield json.dumps(value)


def _write(part: Part, words: Sequence[ShellWord]) -> str:
    """The text of entries, each flag with its values; an unchanged entry keeps its text."""
    items: list[Item] = []
    for group in _groups(words):
        places = [word.place for word in group]
        first = places[0]
        if first >= 0 and places == _places(part, first):
            items.append(Item(first, part.words[first].lead, part.sources[first]))
        else:
            items.append(Item(-1, "\n", _entry(group)))
    return write_items(part, items, "\n")


def _groups(words: Sequence[ShellWord]) -> Iterator[list[ShellWord]]:
    group: list[ShellWord] = []
    for word in words:
        if word.value.startswith("--") and group:
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _places(part: Part, first: int) -> list[int]:
    """The places of an entry's words."""
    stop = first + 1
    while stop < len(part.words) and not part.sources[stop]:
        stop += 1
    return list(range(first, stop))


def _entry(group: Sequence[ShellWord]) -> str:
    key, equals, joined = group[0].value.removeprefix("--").partition("=")
    values = [joined] if equals else [word.value for word in group[1:]]
    if not values:
        return f"{key}: true"
    if len(values) == 1:
        return f"{key}: {values[0] if values[0].isdecimal() else quoted(values[0])}"
    return f"{key}: [{', '.join(map(quoted, values))}]"
