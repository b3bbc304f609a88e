"""The types of paths on the command line."""

from pathlib import Path
from typing import Any

import click

from k2compat.errors import RefusedError


class _Named(click.Path):
    """A path that is not empty.

    A shell turns an unset variable into an empty path. Python would read it as the current folder,
    which the user does not mean to change.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty.", param, ctx)
        return super().convert(value, param, ctx)


class _Local(_Named):
    """A path on this machine, and not the address of a repo."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and "://" in value:
            _refuse_repo(value, param)
        return super().convert(value, param, ctx)


def _refuse_repo(value: str, param: click.Parameter | None) -> None:
    from k2compat.hub import fetch_command, parse_repo_url  # 2 ms, for addresses alone

    repo = parse_repo_url(value)
    if repo is not None:
        raise RefusedError(
            "wrong-usage",
            f"{repo.address} is a repo; {_label(param)} is a path on this machine.",
            hint=f"Download it: {fetch_command(repo)}",
        )


def _label(param: click.Parameter | None) -> str:
    """How the help calls the parameter."""
    if isinstance(param, click.Option):
        return param.opts[-1]
    return "what is needed here" if param is None else str(param.metavar or param.name).upper()


# The command refuses a path that cannot be read, with the system's reason and a hint.
PATH = _Local(path_type=Path, readable=False)
"""A path on this machine."""

NAMED = _Named(path_type=str, readable=False)
"""The name of a model, as the user typed it: ./ORG/REPO is a path, ORG/REPO may be a repo."""
