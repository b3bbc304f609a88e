"""The flags of each engine at any version: the public functions over the tables.

table_versions, newest_version, flag_table     the tables
check_arguments                                the parser's refusals of a command line
todays_name, changes_between                   the changes of a flag
passed_through                                 `--set flag=value`
"""

from typing import TYPE_CHECKING, Any

from packaging.version import Version

from k2compat.launch.engines import engine_names, size_flag
from k2compat.launch.flags.check import check_arguments
from k2compat.launch.flags.history import GONE, Change, changes_of, changes_to
from k2compat.launch.flags.loading import (
    entry_points,
    flag_table,
    newest_version,
    table_versions,
    version_of,
)
from k2compat.launch.flags.passthrough import passed_through
from k2compat.launch.flags.table import Abbreviated, Ambiguous, Exact, Flag, FlagTable, Unknown
from k2compat.lazy import lazy_names

__all__ = [
    "ENGINES",
    "FATAL",
    "GONE",
    "WRAPPERS",
    "Abbreviated",
    "Ambiguous",
    "Change",
    "EngineRelease",
    "EntryPoint",
    "Exact",
    "Flag",
    "FlagTable",
    "FlagUse",
    "Image",
    "InstalledParser",
    "ParsedCommand",
    "Unknown",
    "change_of",
    "changes_between",
    "changes_of",
    "changes_to",
    "check_arguments",
    "check_flags",
    "check_harm",
    "check_reading",
    "engine_aliases",
    "entry_of",
    "entry_point",
    "entry_points",
    "flag_table",
    "has_placeholder",
    "has_word",
    "names_in",
    "newest_version",
    "passed_through",
    "programs_of",
    "read_arguments",
    "recognize",
    "settings_as_arguments",
    "size_flag",
    "table_versions",
    "todays_name",
    "values_of",
    "version_of",
    "with_proposed",
    "with_settings",
]

_HOMES = {
    "EngineRelease": "release",
    "EntryPoint": "programs",
    "FATAL": "history",
    "Image": "programs",
    "InstalledParser": "programs",
    "ParsedCommand": "command_line",
    "FlagUse": "command_line",
    "WRAPPERS": "programs",
    "change_of": "check",
    "check_harm": "faults",
    "check_flags": "of_plan",
    "check_reading": "check",
    "engine_aliases": "programs",
    "entry_of": "of_plan",
    "entry_point": "programs",
    "has_placeholder": "command_line",
    "has_word": "command_line",
    "names_in": "check",
    "programs_of": "programs",
    "read_arguments": "command_line",
    "recognize": "programs",
    "settings_as_arguments": "passthrough",
    "values_of": "command_line",
    "with_proposed": "passthrough",
    "with_settings": "of_plan",
}


if TYPE_CHECKING:
    from k2compat.launch.flags.check import change_of, check_reading, names_in
    from k2compat.launch.flags.command_line import (
        FlagUse,
        ParsedCommand,
        has_placeholder,
        has_word,
        read_arguments,
        values_of,
    )
    from k2compat.launch.flags.faults import check_harm
    from k2compat.launch.flags.history import FATAL
    from k2compat.launch.flags.of_plan import check_flags, entry_of, with_settings
    from k2compat.launch.flags.passthrough import settings_as_arguments, with_proposed
    from k2compat.launch.flags.programs import (
        WRAPPERS,
        EntryPoint,
        Image,
        InstalledParser,
        engine_aliases,
        entry_point,
        programs_of,
        recognize,
    )
    from k2compat.launch.flags.release import EngineRelease

    ENGINES: tuple[str, ...]


_load = lazy_names(__name__, _HOMES)


def todays_name(engine: str, entry: str, flag: str, version: str) -> str | None:
    """The name of a flag at a version.

    Args:
        engine: vllm, sglang, ktransformers or trtllm.
        entry: The entry point.
        flag: Any name it ever had, with its dashes.
        version: The engine's version, or a table's name.

    Returns:
        The name itself where that version knows it; otherwise the name of the flag that means
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
    """The changes of an entry point's flags after one version and up to another.

    Args:
        engine: vllm, sglang, ktransformers or trtllm.
        entry: The entry point.
        older: The old version, or a table's name.
        newer: The new version, or a table's name.

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


def __getattr__(name: str) -> Any:
    """`ENGINES`: the engines that have tables, by the alphabet; other names lie in the modules."""
    return engine_names() if name == "ENGINES" else _load(name)
