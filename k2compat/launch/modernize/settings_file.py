"""Keys that were renamed in an engine's settings file, such as TensorRT-LLM's `--config`.

Only the renamed keys change; every other character of the file stays.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml
from packaging.version import Version

from k2compat.launch.flags import Change


@dataclass(frozen=True, slots=True)
class RenamedKeys:
    """A settings file with today's keys, and the changes."""

    text: str
    changes: tuple[Change, ...]


def rename_keys(text: str, history: Iterable[Change], version: Version) -> RenamedKeys:
    """Write a settings file with the keys of a version of the engine.

    Args:
        text: The file, valid YAML.
        history: The changes of its keys; dots separate sections.
        version: The version that it is for.

    Returns:
        The text, unchanged if it has no renamed key.
    """
    changes: list[Change] = []
    for change in history:
        if change.since is None or Version(change.since) > version or not change.to:
            continue
        *section, key = change.flag.split(".")
        if _holds(text, [*section, key]):
            new = change.to[0].rsplit(".", 1)[-1]
            text = re.sub(rf"(?m)^(\s+){re.escape(key)}(\s*:)", rf"\g<1>{new}\g<2>", text)
            changes.append(change)
    return RenamedKeys(text, tuple(changes))


def _holds(text: str, path: list[str]) -> bool:
    value: Any = yaml.safe_load(text)
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True
