"""Flags that do harm together, and releases that do not work with a command's flags."""

from collections.abc import Iterator, Sequence

from k2compat.findings import Finding
from k2compat.launch.engines import Situation, read_profile
from k2compat.launch.flags import (
    EngineRelease,
    EntryPoint,
    ParsedCommand,
    check_harm,
    read_arguments,
    values_of,
)
from k2compat.launch.request import facts_of_name


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
    facts = facts_of_name(_model(entry, words, reading))
    situation = Situation("default", "", release.version, facts)
    forbidden = [each for each in read_profile(release.engine).forbidden if each.applies(situation)]
    yield from check_harm(release.engine, situation, entry.table, forbidden, reading)


def _model(entry: EntryPoint, words: Sequence[str], reading: ParsedCommand) -> str:
    """What the command names as the model; "" for none."""
    named = values_of(words, "--model", "--model-path", *filter(None, [entry.model]))
    return next(iter([*named, *(each.value for each in reading.loose)]), "")
