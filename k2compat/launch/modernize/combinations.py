"""Flags that must not be combined, and releases that do not work with a command's flags."""

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
    """Find flags of a command that do not fit each other, or the model that its name describes.

    This includes known faults of the release, but not those of one GPU: the GPU is not known.

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
    """The model that the command names; "" for none."""
    named = values_of(words, "--model", "--model-path", *filter(None, [entry.model]))
    return next(iter([*named, *(each.value for each in reading.loose)]), "")
