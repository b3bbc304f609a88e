"""Flags that do harm together, and releases that do not work with a command's flags."""

from collections.abc import Iterator, Sequence

from k2compat.findings import Codes, Finding
from k2compat.launch.engines import Situation, read_profile
from k2compat.launch.flags import (
    EngineRelease,
    EntryPoint,
    ParsedCommand,
    check_faults,
    present_in,
    read_arguments,
    values_of,
)
from k2compat.launch.request import facts_of_name

_codes = Codes("launch")


def check_combinations(
    release: EngineRelease, entry: EntryPoint, words: Sequence[str]
) -> Iterator[Finding]:
    """What a command's flags do to each other, and to a model whose name tells how it is stored.

    Known faults of the release are among it; those of one GPU alone are not, for no GPU is known.

    Args:
        release: The engine's release.
        entry: The entry point.
        words: The arguments.
    """
    reading = read_arguments(release.table(entry.table), words)
    present = present_in(reading)
    facts = facts_of_name(_model(entry, words, reading))
    situation = Situation("default", "", release.version, facts)
    for forbidden in read_profile(release.engine).forbidden:
        if forbidden.applies(situation) and forbidden.is_met(present):
            yield _codes.finding(
                "flag-combination",
                " ".join(forbidden.flags),
                f"{forbidden.title}: {forbidden.reason}.",
                actual=" ".join(forbidden.flags),
                fix=forbidden.fix,
            )
    yield from check_faults(release.engine, situation, entry.table, reading)


def _model(entry: EntryPoint, words: Sequence[str], reading: ParsedCommand) -> str:
    """What the command names as the model; "" for none."""
    named = values_of(words, "--model", "--model-path", *filter(None, [entry.model]))
    return next(iter([*named, *(each.value for each in reading.loose)]), "")
