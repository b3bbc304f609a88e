"""The hint for a path that does not exist: a similar name, or the part that is missing."""

import os
from itertools import islice
from pathlib import Path

from k2compat.shell_line import shell_line

_NAMES_COMPARED = 10_000
"""Of one folder; a nearer name among more takes longer to find than to type."""


def missing_hint(path: Path) -> str:
    """The hint for a path that does not exist.

    Args:
        path: The path, as the user named it.
    """
    if path.is_symlink():
        return f"It is a symbolic link to {path.readlink()}: restore that, or name another path."
    absent = path
    while not os.path.lexists(absent.parent) and absent != absent.parent:
        absent = absent.parent
    folder = absent.parent
    near = _nearest(absent.name, folder)
    if near is not None:
        return f"Did you mean {shell_line(folder / near / path.relative_to(absent))}?"
    if not folder.is_dir():
        return f"Check the path: {folder} is no folder."
    if absent == path:
        where = "this folder" if folder == Path() else str(folder)
        return f"Check the name: nothing in {where} has one like it."
    disk = " Is its disk mounted?" if path.is_absolute() else ""
    return f"Check the path: there is no {absent}.{disk}"


def _nearest(name: str, folder: Path) -> str | None:
    from difflib import get_close_matches  # only here: it costs 5 ms

    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _NAMES_COMPARED)]
    except OSError:
        return None
    # A name in other letters is as near as can be.
    same = next((each for each in names if each.casefold() == name.casefold()), None)
    return same or next(iter(get_close_matches(name, names, n=1)), None)
