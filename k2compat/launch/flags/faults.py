"""Known faults of a command line: combinations of flags, and faults of a release."""

from collections.abc import Iterable, Iterator

from k2compat.findings import Codes, Finding
from k2compat.launch.engines import Forbidden, Situation, harm_of
from k2compat.launch.flags.check import names_in
from k2compat.launch.flags.command_line import ParsedCommand

_codes = Codes("launch")


def check_harm(
    engine: str,
    situation: Situation,
    entry: str,
    forbidden: Iterable[Forbidden],
    reading: ParsedCommand,
    where: str = "",
) -> Iterator[Finding]:
    """Find known faults of a command line in this release.

    Args:
        engine: The engine.
        situation: The release, with the facts of the model and the hardware.
        entry: The entry point, by the name of its flag table.
        forbidden: The combinations of flags that apply.
        reading: The command line.
        where: Names the command; "": the flags of the combination are the place.
    """
    combinations, faults = harm_of(engine, situation, entry, forbidden, _present_in(reading))
    for each in combinations:
        flags = " ".join(each.flags)
        yield _codes.finding(
            "flag-combination",
            where or flags,
            f"{each.title}: {each.reason}.",
            actual=flags,
            fix=each.fix,
        )
    for fault in faults:
        code = "release-known-bad" if fault.fatal else "release-fault"
        yield _codes.finding(code, fault.where, fault.message, fix=fault.fix)


def _present_in(reading: ParsedCommand) -> frozenset[str]:
    """The flags of a command line under all their names, and each as "--flag=value"."""
    names = names_in(reading)
    values = {f"{name}={value}" for name, values in names.items() for value in values}
    return frozenset({*names, *values})
