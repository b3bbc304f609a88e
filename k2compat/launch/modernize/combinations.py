"""Flags that do harm together, as the engines' profiles name them."""

from collections.abc import Iterator, Sequence

from k2compat.findings import Codes, Finding
from k2compat.launch.engines import Situation, read_profile
from k2compat.launch.flags import EngineRelease, names_in, read_arguments

_codes = Codes("launch")


def check_combinations(
    release: EngineRelease, table: str, words: Sequence[str]
) -> Iterator[Finding]:
    """What a command's flags do to each other; what depends on the model is not judged here.

    Args:
        release: The engine's release.
        table: The entry point's table.
        words: The arguments.
    """
    reading = read_arguments(release.table(table), words)
    present = set(names_in(reading))
    present |= {f"{use.name}={value}" for use in reading.uses for value in use.values}
    situation = Situation("default", "", release.version)
    for forbidden in read_profile(release.engine).forbidden:
        if forbidden.applies(situation) and present.issuperset(forbidden.flags):
            yield _codes.finding(
                "flag-combination",
                " ".join(forbidden.flags),
                f"{' with '.join(forbidden.flags)}: {forbidden.reason}.",
                actual=" ".join(forbidden.flags),
                fix="Leave one of them out.",
            )
