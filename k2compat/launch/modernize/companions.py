"""Flags that another flag needs with it."""

from itertools import chain
from typing import TypeAlias

from k2compat.launch.flags import EngineRelease, EntryPoint, names_in, programs_of, read_arguments
from k2compat.launch.modernize.shell_text import ShellWord
from k2compat.launch.modernize.translation import Replacement

Groups: TypeAlias = tuple[tuple[ShellWord, ...], ...]


def with_companions(
    groups: Groups, release: EngineRelease, entry: EntryPoint
) -> tuple[Groups, tuple[Replacement, ...]]:
    """The arguments, followed by the flags that they need.

    A command that reads a config file may have these flags there, so it stays unchanged.
    """
    table = release.table(entry.table)
    words = [word.value for word in chain.from_iterable(groups)]
    used = names_in(read_arguments(table, words))
    if "--config" in used:
        return groups, ()
    added: list[Replacement] = []
    for companion in programs_of(release.engine).companion:
        there = companion.flag in used and companion.needs[0] not in used
        named = companion.model in " ".join(words).lower()
        if companion.entry == entry.table and there and named:
            new = tuple(ShellWord.plain(part) for part in companion.needs)
            groups = (*groups, new)
            added.append(
                Replacement(
                    before="",
                    after=" ".join(companion.needs),
                    kind="added",
                    since=None,
                    reason=companion.reason,
                    source=companion.source,
                )
            )
    return groups, tuple(added)
