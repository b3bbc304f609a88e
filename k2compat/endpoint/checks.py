"""The list of checks: data in checks.toml, which the docs list and the verdicts read."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from k2compat.typed_toml import read_toml


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a check; its explanation is in `codes.toml`.

    Attributes:
        shows: what is compared.
        explained_by: the codes of which this one may be a consequence.
        everywhere: whether the code explains findings of the whole run.
        repaired_by: the gateway's step that repairs it; "" for none.
    """

    shows: str
    explained_by: tuple[str, ...] = ()
    everywhere: bool = False
    repaired_by: str = ""


@cache
def checks() -> Mapping[str, Check]:
    """All checks by code, in the order of the file."""
    return read_toml(Path(__file__).with_name("checks.toml"), dict[str, Check])
