"""From the entries of a profile to commands: choose the entries, fill in the values. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec
from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.launch.engines import CommandTemplate, FileTemplate, Profile, Row, Situation
from k2compat.launch.plan import Command, Mount, Port
from k2compat.launch.request import Argument, Node


class NodeContext(msgspec.Struct, frozen=True):
    """A node with all values and facts for templates and conditions.

    Attributes:
        node: The node.
        situation: The situation, with the node's facts.
        values: Name → value, for `{name}` in templates.
        lists: Name → values, for commands with `each`.
    """

    node: Node
    situation: Situation
    values: Mapping[str, Argument]
    lists: Mapping[str, Sequence[Argument]]


def compose(profile: Profile, places: Sequence[NodeContext]) -> tuple[Command, ...]:
    """The commands of a profile on these nodes, in the profile's order."""
    commands: list[Command] = []
    made: dict[str, list[Command]] = {}  # by the template's id
    for template in profile.commands:
        for place in places:
            if _runs_on(template, place) and template.applies(place.situation):
                after = tuple(_after(template, place, made))
                here = list(_commands(profile, template, place, after))
                made.setdefault(template.id, []).extend(here)
                commands += here
    return tuple(commands)


def mounts_of(profile: Profile, place: NodeContext) -> tuple[Mount, ...]:
    """The folders that a container must see, each once.

    Names of the Hub and relative paths cannot be mounted.
    """
    found: dict[Argument, Mount] = {}
    for template in profile.mounts:
        if template.applies(place.situation):
            source = Argument.fill(template.source, place.values)
            target = Argument.fill(template.target or template.source, place.values)
            if source.placeholders or PurePosixPath(str(source)).is_absolute():
                found.setdefault(source, Mount(source, target))
    return tuple(found.values())


def _after(
    template: CommandTemplate, place: NodeContext, made: Mapping[str, Sequence[Command]]
) -> Iterator[str]:
    """The commands to start before: those of the same node if they run on each node, else all."""
    for name in template.after:
        everywhere = made.get(name, ())
        here = [command for command in everywhere if command.node == place.node]
        chosen = here if here and template.on == "each" else everywhere
        yield from (command.id for command in chosen)


def _runs_on(template: CommandTemplate, place: NodeContext) -> bool:
    if template.on == "each":
        return True
    if template.on in ("first", "others"):
        return (template.on == "first") == ("very_first_node" in place.situation.facts)
    return template.on == place.node.role


def _commands(
    profile: Profile, template: CommandTemplate, place: NodeContext, after: tuple[str, ...]
) -> Iterator[Command]:
    """One command, or one for each item of the template's list."""
    if template.each is None:
        yield _command(profile, template, place, after)
        return
    items = place.lists[template.each]
    for number, item in enumerate(items):
        command = _command(
            profile, template, replace(place, values={**place.values, "item": item}), after
        )
        yield replace(command, id=f"{command.id}-{number}") if len(items) > 1 else command


def _command(
    profile: Profile, template: CommandTemplate, place: NodeContext, after: tuple[str, ...]
) -> Command:
    program = _program(profile, template, place.situation)
    rows = list(_rows(profile, template.flags, place.situation))
    variables = list(_rows(profile, template.environment, place.situation))
    files = list(_files(profile, template, place))
    return Command(
        id=f"{template.id}-{place.node.name}",
        role=template.role,
        node=place.node,
        argv=(
            *(Argument.fill(word, place.values) for word in program),
            *(word for row in rows for word in _flags_and_values(row, place)),
            *(Argument.fill(word, place.values) for word in template.tail),
        ),
        head=len(program),
        environment={row.flag: value for row in variables for value in _values(row, place.values)},
        files={path: text for path, text, _ in files},
        ports=tuple(
            Port(entry.name, Argument.fill(entry.number, place.values), entry.health)
            for entry in template.ports
            if entry.applies(place.situation)
        ),
        after=after,
        inside=Argument.fill(template.inside, place.values) if template.inside else None,
        creates=template.creates,
        entry=template.entry,
        settable=template.settable,
        stays=template.stays,
        spread=template.spread,
        splits=template.splits,
        reasons={row.flag: row.reason for row in (*rows, *variables) if row.reason},
        file_options=frozenset().union(*(options for *_, options in files)),
    )


def _program(profile: Profile, template: CommandTemplate, situation: Situation) -> Sequence[str]:
    """The words before the flags: the command's own, or those of the profile's programs."""
    if not template.program:
        return template.argv
    programs = profile.programs[template.program]
    return next(each.argv for each in programs if each.applies(situation))


def _flags_and_values(row: Row, place: NodeContext) -> Iterator[Argument]:
    """A flag with its values; a flag of a list is repeated for each item."""
    items = place.lists[row.each] if row.each else (Argument(()),)
    for item in items:
        yield Argument.literal(row.flag)
        yield from _values(row, {**place.values, "item": item})
        yield from place.lists[row.all_of] if row.all_of else ()


def _values(row: Row, values: Mapping[str, Argument]) -> Iterator[Argument]:
    templates = (row.value,) if isinstance(row.value, str) else row.value or ()
    yield from (Argument.fill(template, values) for template in templates)


def _rows(profile: Profile, groups: Iterable[str], situation: Situation) -> Iterator[Row]:
    for group in groups:
        yield from (row for row in profile.rows[group] if row.applies(situation))


def _files(
    profile: Profile, template: CommandTemplate, place: NodeContext
) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Path, text, and the user's options in it; entries of one path make one file."""
    parts: dict[str, list[FileTemplate]] = {}
    shared = (entry for group in template.file_groups for entry in profile.files[group])
    for entry in (*template.files, *shared):
        if entry.applies(place.situation):
            path = str(Argument.fill(entry.path, place.values))
            parts.setdefault(path, []).append(entry)
    for path, entries in parts.items():
        members: dict[str, Any] = {}
        options: set[str] = set()
        for entry in entries:
            _merge(members, _filled(entry.yaml or {}, path, place, options))
        lines = [_line(line, path, place) for entry in entries for line in entry.lines]
        text = "".join(f"{line}\n" for line in lines)
        if members:
            import yaml

            text += yaml.safe_dump(members, sort_keys=False)
        yield path, text, frozenset(options).union(*(line.options for line in lines))


def _filled(
    members: Mapping[str, Any], path: str, place: NodeContext, options: set[str]
) -> Mapping[str, Any]:
    """The members of a file with the values of their templates; their options are added."""
    found: dict[str, Any] = {}
    for key, value in members.items():
        if isinstance(value, Mapping):
            found[key] = _filled(value, path, place, options)
        elif isinstance(value, str):
            word = _line(value, path, place)
            options |= word.options
            found[key] = str(word)
        else:
            found[key] = value
    return found


def _merge(members: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _merge(members.setdefault(key, {}), value)
        else:
            members[key] = value


def _line(template: str, path: str, place: NodeContext) -> Argument:
    """A line of a file, in which placeholders are never expanded.

    Raises:
        RefusedError: placeholder-in-file.
    """
    word = Argument.fill(template, place.values)
    if word.placeholders:
        raise RefusedError(
            "placeholder-in-file",
            f"{word.placeholders[0]} would stand in {path}, where nothing puts a value in its "
            "place.",
            hint="Give the value itself.",
        )
    return word
