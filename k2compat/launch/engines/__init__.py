"""The engines: one folder for each, with all that launch knows about it.

    profile.toml        the flags and commands to render (`profile.py`)
    flags.json          the flags that its parsers accept, at a few versions (`flags/table.py`)
    history.toml        the changes of its flags (`flags/history.py`)
    entry_points.toml   how its programs are started (`flags/programs.py`)
    ask_parser.py       how the installed engine reads a command line (`preflight/engine_parser.py`)
    requirements.toml   its requirements of a node (`preflight/requirements.py`)
    memory.toml         its flags that affect memory (`memory_flags.py`)
    goals.toml          documented settings for a goal (`goals.py`); may be absent
    faults.toml         releases with a known fault (`faults.py`); may be absent
    derive.py           facts and values that no table can express (`derivation.py`); may be absent

A folder with a profile.toml is an engine: there is no other list of engines.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from k2compat.errors import RefusedError
from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.launch.engines.derivation import derivation_of
    from k2compat.launch.engines.faults import Fault, harm_of
    from k2compat.launch.engines.goals import Goal, describe, goals_of
    from k2compat.launch.engines.memory_flags import (
        BatchFlags,
        MemoryFlags,
        ParallelFlags,
        memory_flags_of,
        size_flag,
    )
    from k2compat.launch.engines.profile import PROFILES, STRATEGIES, Profile, read_profile
    from k2compat.launch.engines.profile_entries import (
        CommandTemplate,
        FileTemplate,
        FindingTemplate,
        Forbidden,
        Row,
        Situation,
    )
    from k2compat.launch.engines.terms import ProfileTerms, terms_of

__all__ = [
    "PROFILES",
    "STRATEGIES",
    "BatchFlags",
    "CommandTemplate",
    "Fault",
    "FileTemplate",
    "FindingTemplate",
    "Forbidden",
    "Goal",
    "MemoryFlags",
    "ParallelFlags",
    "Profile",
    "ProfileTerms",
    "Row",
    "Situation",
    "derivation_of",
    "describe",
    "engine_folder",
    "engine_names",
    "goals_of",
    "harm_of",
    "memory_flags_of",
    "read_profile",
    "size_flag",
    "terms_of",
]

_HOMES = {
    "BatchFlags": "memory_flags",
    "CommandTemplate": "profile_entries",
    "Fault": "faults",
    "FileTemplate": "profile_entries",
    "FindingTemplate": "profile_entries",
    "Forbidden": "profile_entries",
    "Goal": "goals",
    "MemoryFlags": "memory_flags",
    "PROFILES": "profile",
    "ParallelFlags": "memory_flags",
    "Profile": "profile",
    "ProfileTerms": "terms",
    "Row": "profile_entries",
    "STRATEGIES": "profile",
    "Situation": "profile_entries",
    "derivation_of": "derivation",
    "describe": "goals",
    "harm_of": "faults",
    "goals_of": "goals",
    "memory_flags_of": "memory_flags",
    "read_profile": "profile",
    "size_flag": "memory_flags",
    "terms_of": "terms",
}

__getattr__ = lazy_names(__name__, _HOMES)

_PROFILE = "profile.toml"


def engine_names() -> tuple[str, ...]:
    """Every engine, in alphabetical order.

    The folders are found by the package's `__path__`, so that a test can add one elsewhere.
    """
    return tuple(_folders(tuple(__path__)))


def engine_folder(engine: str) -> Path:
    """The folder of an engine.

    Raises:
        RefusedError: engine-unknown.
    """
    folders = _folders(tuple(__path__))
    if engine not in folders:
        from difflib import get_close_matches

        near = get_close_matches(engine, folders, n=1)
        raise RefusedError(
            "engine-unknown",
            f"There is no engine {engine!r} here.",
            hint=f"Did you mean {near[0]}?" if near else f"Choose one of {', '.join(folders)}.",
        )
    return folders[engine]


@cache
def _folders(places: tuple[str, ...]) -> dict[str, Path]:
    found = (path.parent for place in places for path in Path(place).glob(f"*/{_PROFILE}"))
    return {folder.name: folder for folder in sorted(found, key=lambda folder: folder.name)}
