"""The known faults of an engine's release that a command line meets."""

from collections.abc import Iterator

from k2compat.findings import Codes, Finding
from k2compat.launch.engines import Situation, faults_of
from k2compat.launch.flags.check import names_in
from k2compat.launch.flags.command_line import ParsedCommand

_codes = Codes("launch")


def present_in(reading: ParsedCommand) -> frozenset[str]:
    """The flags of a command line under all their names, and each as "--flag=value"."""
    names = names_in(reading)
    values = {f"{name}={value}" for name, values in names.items() for value in values}
    return frozenset({*names, *values})


def check_faults(
    engine: str, situation: Situation, entry: str, reading: ParsedCommand
) -> Iterator[Finding]:
    """What is known to go wrong with a command line in this release.

    Args:
        engine: The engine.
        situation: The release, with the facts of the model and the hardware.
        entry: The entry point, by the name of its flag table.
        reading: The command line.
    """
    present = present_in(reading)
    for fault in faults_of(engine):
        if fault.is_met(situation, entry, present):
            code = "release-known-bad" if fault.fatal else "release-fault"
            yield _codes.finding(code, fault.where, fault.message, fix=fault.fix)
