"""The flags of a plan's commands: the user's own merged in, all of them checked. Pure."""

import dataclasses
from collections.abc import Iterator, Sequence

import msgspec

from k2compat.findings import Codes, Finding
from k2compat.launch.engines import ProfileTerms
from k2compat.launch.flags.check import check_reading
from k2compat.launch.flags.command_line import FlagUse, ParsedCommand, read_arguments
from k2compat.launch.flags.faults import check_harm
from k2compat.launch.flags.passthrough import settings_as_arguments
from k2compat.launch.flags.programs import EntryPoint, recognize
from k2compat.launch.flags.release import EngineRelease
from k2compat.launch.flags.table import FlagTable
from k2compat.launch.plan import Command
from k2compat.launch.request import Argument, user_value

_codes = Codes("launch")


def with_settings(command: Command, release: EngineRelease, settings: Sequence[str]) -> Command:
    """A command with the user's flags: in the place of the same flag, otherwise at the end.

    Args:
        command: One whose flags the user may set.
        release: Its engine at a version.
        settings: Each "flag=value" or "flag".

    Raises:
        RefusedError: setting-refused or value-malformed.
    """
    start, entry = entry_of(command, release.engine)
    table = release.table(entry.table)
    words = list(command.argv)
    for first, *values in settings_as_arguments(table, settings):
        name, equals, joined = first.partition("=")
        given = [Argument.literal(first), *(user_value(value, name) for value in values)]
        if equals:
            given = [Argument.literal(f"{name}={user_value(joined, name, joined=True)}")]
        reading = _read(words[start:], table)
        uses = [use for use in reading.uses if use.flag and name in use.flag.names]
        if uses:
            at, length = start + uses[-1].at, _length(uses[-1])
            words[at : at + length] = given
        else:
            words += given
    return msgspec.structs.replace(command, argv=tuple(words))


def check_flags(
    commands: Sequence[Command],
    release: EngineRelease,
    terms: ProfileTerms,
    gpus_per_node: int,
) -> Iterator[Finding]:
    """What the engine's own parser would say of the commands, and what it would let pass.

    A known fault of the release is named once, whatever number of commands meets it.

    Args:
        commands: Those without an entry point are not looked at.
        release: Their engine at a version.
        terms: What holds, and the combinations that do harm.
        gpus_per_node: GPUs of the nodes they run on.
    """
    harm: dict[Finding, None] = {}
    for command in commands:
        if command.entry is None:
            continue
        start, entry = entry_of(command, release.engine)
        reading = _read(command.argv[start:], release.table(entry.table))
        for finding in check_reading(reading, gpus_per_node):
            yield dataclasses.replace(finding, where=f"{command.id}: {finding.where}")
        known = (release.engine, terms.situation, entry.table, terms.forbidden)
        harm |= dict.fromkeys(check_harm(*known, reading, command.id))
    yield from harm


def entry_of(command: Command, engine: str) -> tuple[int, EntryPoint]:
    """The entry point that a command starts, and where its own arguments begin in `argv`.

    Behind mpirun and the like it is not the first word.
    """
    words = [str(word) for word in command.argv]
    for begin in range(len(words)):
        found = recognize(words[begin:], engine)
        if found is not None and found[0].table == command.entry:
            return begin + found[1], found[0]
    raise AssertionError(f"{command.id} starts no {command.entry}: a mistake in a profile")


def _read(words: Sequence[Argument], table: FlagTable) -> ParsedCommand:
    return read_arguments(table, [str(word) for word in words])


def _length(use: FlagUse) -> int:
    return 1 if use.joined else 1 + len(use.values)
