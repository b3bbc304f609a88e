"""The type of every path on the command line."""

from pathlib import Path
from typing import Any

import click


class _NamedPath(click.Path):
    """A path that names something.

    An empty one is what a shell makes of an unset variable. Python reads it as the current
    folder, which the user does not mean to change.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty.", param, ctx)
        return super().convert(value, param, ctx)


PATH = _NamedPath(path_type=Path)
