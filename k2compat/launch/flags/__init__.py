"""What each engine's flags are called, at any version: the door to what the tables know.

table_versions, newest_version, flag_table     the tables
check_arguments                                what a parser would refuse in a command line
todays_name, changes_between                   what became of a flag
passed_through                                 `--set flag=value`
"""

from typing import TYPE_CHECKING

from packaging.version import Version

from k2compat.launch.engines import engine_names
from k2compat.launch.flags.check import check_arguments
from k2compat.launch.flags.history import GONE, Change, changes_of
from k2compat.launch.flags.loading import (
    entry_points,
    flag_table,
    newest_version,
    table_versions,
    version_of,
)
from k2compat.launch.flags.passthrough import passed_through
from k2compat.launch.flags.table import Abbreviated, Ambiguous, Exact, Flag, FlagTable, Unknown

__all__ = [
    "ENGINES",
    "Abbreviated",
    "Ambiguous",
    "Change",
    "Exact",
    "Flag",
    "FlagTable",
    "Unknown",
    "changes_between",
    "check_arguments",
    "entry_points",
    "flag_table",
    "newest_version",
    "passed_through",
    "table_versions",
    "todays_name",
    "version_of",
]


if TYPE_CHECKING:
    ENGINES: tuple[str, ...]


def todays_name(engine: str, entry: str, flag: str, version: str) -> str | None:
    """What a flag is called at a version.

    Args:
        engine: vllm, sglang, ktransformers or trtllm.
        entry: The entry point.
        flag: Any name it ever had, with its dashes.
        version: The engine's version, or a table's name.

    Returns:
        The name itself where that version knows it; otherwise the name of the flag that says
        the same; None where there is none, or none is known.

    Raises:
        RefusedError: engine-unknown, engine-version-invalid, entry-unknown.
    """
    table = flag_table(engine, version, entry)
    if isinstance(table.resolve(flag), Exact):
        return flag
    gone = [
        change
        for change in table.changes_to(flag)
        if change.kind in GONE and not change.conditional
    ]
    return gone[0].to[0] if gone and gone[0].to else None


def changes_between(engine: str, entry: str, older: str, newer: str) -> tuple[Change, ...]:
    """What happened to an entry point's flags after one version and up to another.

    Args:
        engine: vllm, sglang, ktransformers or trtllm.
        entry: The entry point.
        older: The version that one comes from, or a table's name.
        newer: The version that one goes to, or a table's name.

    Returns:
        The changes, oldest first. One of no known version counts if a table of the older side
        knows the flag and one of the newer side does not.

    Raises:
        RefusedError: engine-unknown, engine-version-invalid, entry-unknown.
    """
    since, until = version_of(engine, older), version_of(engine, newer)
    before, after = flag_table(engine, older, entry), flag_table(engine, newer, entry)
    return tuple(
        change
        for change in changes_of(engine, entry)
        if (
            since < Version(change.since) <= until
            if change.since is not None
            else before.find(change.flag) is not None and after.find(change.flag) is None
        )
    )


def __getattr__(name: str) -> tuple[str, ...]:
    """`ENGINES`: the engines that have tables, by the alphabet."""
    if name == "ENGINES":
        return engine_names()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
