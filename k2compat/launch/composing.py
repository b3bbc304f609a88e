"""From the entries of a profile to commands: choose what applies, fill in the values. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from k2compat.launch.cluster import Node
from k2compat.launch.plan import Command, Port
from k2compat.launch.profile import CommandTemplate, FileTemplate, Profile, Row, Situation
from k2compat.launch.words import Word


@dataclass(frozen=True, slots=True)
class Place:
    """A node with everything that templates and conditions ask about it.

    Attributes:
        node: The node.
        situation: With the facts that hold there.
        values: Name → value, for `{name}` in templates.
        lists: Name → values, for rows with `each`.
    """

    node: Node
    situation: Situation
    values: Mapping[str, Word]
    lists: Mapping[str, Sequence[Word]]


def compose(profile: Profile, places: Sequence[Place]) -> tuple[Command, ...]:
    """The commands of a profile on these nodes, in the profile's order."""
    commands: list[Command] = []
    ids: dict[str, list[str]] = {}  # of a template → of its commands
    for template in profile.commands:
        after = tuple(known for name in template.after for known in ids.get(name, ()))
        for place in places:
            if _runs_on(template, place) and template.applies(place.situation):
                command = _command(profile, template, place, after)
                ids.setdefault(template.id, []).append(command.id)
                commands.append(command)
    return tuple(commands)


def _runs_on(template: CommandTemplate, place: Place) -> bool:
    if template.on == "each":
        return True
    if template.on in ("first", "others"):
        return (template.on == "first") == ("very_first_node" in place.situation.facts)
    return template.on == place.node.group


def _command(
    profile: Profile, template: CommandTemplate, place: Place, after: tuple[str, ...]
) -> Command:
    rows = list(_rows(profile, template.flags, place.situation))
    variables = list(_rows(profile, template.environment, place.situation))
    files = [entry for entry in template.files if entry.applies(place.situation)]
    return Command(
        id=f"{template.id}-{place.node.name}",
        role=template.role,
        node=place.node,
        argv=(
            *(Word.fill(word, place.values) for word in template.argv),
            *(word for row in rows for word in row_words(row, place)),
            *(Word.fill(word, place.values) for word in template.tail),
        ),
        environment={row.flag: Word.fill(row.value or "", place.values) for row in variables},
        files={str(Word.fill(entry.path, place.values)): _text(entry, place) for entry in files},
        ports=tuple(
            Port(entry.name, Word.fill(entry.number, place.values))
            for entry in template.ports
            if entry.applies(place.situation)
        ),
        after=after,
        entry=template.entry,
        stays=template.stays,
        reasons={row.flag: row.reason for row in (*rows, *variables) if row.reason},
    )


def row_words(row: Row, place: Place) -> Iterator[Word]:
    """The arguments that a row of flags gives."""
    if row.each is not None:
        for item in place.lists[row.each]:
            yield from _flag_and_value(row, {**place.values, "item": item})
    else:
        yield from _flag_and_value(row, place.values)


def _flag_and_value(row: Row, values: Mapping[str, Word]) -> Iterator[Word]:
    yield Word.literal(row.flag)
    if row.value is not None:
        yield Word.fill(row.value, values)


def _rows(profile: Profile, groups: Iterable[str], situation: Situation) -> Iterator[Row]:
    for group in groups:
        yield from (row for row in profile.rows[group] if row.applies(situation))


def _text(entry: FileTemplate, place: Place) -> str:
    if entry.yaml is not None:
        return yaml.safe_dump(dict(entry.yaml), sort_keys=False)
    lines = (str(Word.fill(line, place.values)) for line in entry.lines)
    return "".join(f"{line}\n" for line in lines)
