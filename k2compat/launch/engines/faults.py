"""Releases of an engine with a known fault: `ENGINE/faults.toml`.

    [[fault]]
    versions = ">=0.18.0,<0.18.1"         # of the engine
    entry = "serve"                       # the entry point whose command meets it
    fatal = true                          # it does not work at all; false: some requests show it
    flags = ["--pipeline-parallel-size"]  # all of them must be in the command
    unless = ["--pipeline-parallel-size=1"]  # any of them avoids it
    when = ["vision", "arch=blackwell"]   # facts of the model and the hardware
    where = "--pipeline-parallel-size"
    message = "…"
    fix = "…"
    source = "the engine's issue, and what shows the release that ended it"

A range needs both ends: if no release is without the fault, another release does not help.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from functools import cache

import msgspec

from k2compat.launch.engines import engine_folder
from k2compat.launch.engines.profile_entries import Forbidden, Situation
from k2compat.launch.engines.version_range import in_range
from k2compat.launch.request import is_fact
from k2compat.typed_toml import read_toml


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault that some releases of an engine have.

    Attributes:
        versions: The releases, from the first to before the one that ended it.
        entry: The entry point whose command meets it, by the name of its flag table.
        where: The place of the finding.
        message: The effect of the fault.
        fix: The way to avoid it.
        source: The engine's issue.
        fatal: Whether the command does not work at all; otherwise some requests show it.
        flags: Flags that the command must have, "--flag=value" if only that value counts.
        unless: Flags of which one is enough to avoid it, in the same form.
        when: Facts of the model and the hardware that must hold.
    """

    versions: str
    entry: str
    where: str
    message: str
    fix: str
    source: str
    fatal: bool = False
    flags: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    when: tuple[str, ...] = ()

    def is_met(self, situation: Situation, entry: str, present: AbstractSet[str]) -> bool:
        """Whether a command has the fault.

        Args:
            situation: The release, with the facts of the model and the hardware.
            entry: The command's entry point, by the name of its flag table.
            present: The command's flags, in the form of `flags`.
        """
        return (
            entry == self.entry
            and in_range(self.versions, situation.version)
            and situation.facts >= set(self.when)
            and present >= set(self.flags)
            and present.isdisjoint(self.unless)
        )


def harm_of(
    engine: str,
    situation: Situation,
    entry: str,
    forbidden: Iterable[Forbidden],
    present: AbstractSet[str],
) -> tuple[list[Forbidden], list[Fault]]:
    """The forbidden combinations of flags and the known faults of a command.

    Args:
        engine: Its engine.
        situation: The release, with the facts of the model and the hardware.
        entry: The entry point, by the name of its flag table.
        forbidden: The profile's combinations.
        present: The command's flags, each under all its names and as "--flag=value".
    """
    combinations = [each for each in forbidden if each.is_met(present)]
    return combinations, [
        fault for fault in faults_of(engine) if fault.is_met(situation, entry, present)
    ]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The form of a faults.toml."""

    fault: tuple[Fault, ...] = ()


@cache
def faults_of(engine: str) -> tuple[Fault, ...]:
    """The known faults of an engine's releases; none where it has no faults.toml.

    Raises:
        RefusedError: engine-unknown.
        ValueError: The table has a mistake.
    """
    path = engine_folder(engine) / "faults.toml"
    faults = read_toml(path, _File).fault if path.exists() else ()
    for fault in faults:
        for condition in fault.when:
            if not is_fact(condition):
                raise ValueError(f"{path}: there is no fact {condition!r}, for {fault.where}")
    return faults
