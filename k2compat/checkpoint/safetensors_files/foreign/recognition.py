"""Folders that hold something other than a checkpoint of the family: one finding names it.

Without it, an MLX conversion gives twenty findings on missing and unexpected tensors.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from k2compat.checkpoint.model import whole_number
from k2compat.checkpoint.reporting import FileFindings
from k2compat.family import text_config
from k2compat.findings import Finding
from k2compat.typed_toml import read_toml

_LAYER: Final = re.compile(r"(?:\w+\.)*layers\.([0-9]{1,9})\.")

NAMES_READ: Final = 2_000
"""Names of tensors that are read; they include two layers in any usual order."""


class ForeignFolder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the table, which describes the fields."""

    code: str
    variant: str
    message: str
    file: str = ""
    members: dict[str, str] = {}
    class_: str = msgspec.field(name="class", default="")
    tensor: str = ""
    beyond: bool = False
    judged_as: Literal["", "family", "mtp", "lora", "eagle3", "mlx"] = ""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    folder: tuple[ForeignFolder, ...]


FOLDERS: Final = read_toml(Path(__file__).with_name("foreign.toml"), _Table).folder


def find_foreign(
    files: Iterable[str], config: Mapping[str, Any] | None, names: Iterable[str]
) -> ForeignFolder | None:
    """The kind of a folder that holds no checkpoint of the family; None for the family's own.

    Args:
        files: The folder's files.
        config: The members of its config.json, if it has a readable one.
        names: The names of its tensors; the first NAMES_READ are read, and all if they belong to a
            draft.
    """
    held = set(files)
    members = config or {}
    further = iter(names)
    first = list(islice(further, NAMES_READ))
    return next(
        (
            each
            for each in FOLDERS
            if _is(each, held, members, first)
            and (not each.beyond or _are_beyond(chain(first, further), members))
        ),
        None,
    )


def foreign_finding(root: str, folder: ForeignFolder) -> tuple[Finding, ...]:
    """The finding about such a folder."""
    found = FileFindings(root)
    found.add(folder.code, folder.message, actual=folder.variant)
    return found.findings()


def _is(
    folder: ForeignFolder, files: set[str], config: Mapping[str, Any], names: Iterable[str]
) -> bool:
    classes = config.get("architectures")
    held = classes if isinstance(classes, list) else []
    return (
        (not folder.file or folder.file in files)
        and all(config.get(name) == value for name, value in folder.members.items())
        and (not folder.class_ or any(str(name).startswith(folder.class_) for name in held))
        and (not folder.tensor or any(map(re.compile(folder.tensor).match, names)))
    )


def _are_beyond(names: Iterable[str], config: Mapping[str, Any]) -> bool:
    """Whether all layers among the names follow the model's last one."""
    layers = whole_number(text_config(config).get("num_hidden_layers"))
    found = (match for match in map(_LAYER.match, names) if match is not None)
    return layers is not None and all(int(match[1]) >= layers for match in found)
