"""A command whose help lists its options in sections."""

from collections.abc import Mapping, Sequence
from typing import Any

import click


class SectionedCommand(click.Command):
    """The help lists options under the titles of `sections`, and all others last, as Options."""

    def __init__(
        self, *arguments: Any, sections: Mapping[str, Sequence[str]] | None = None, **more: Any
    ) -> None:
        """Take the sections: title → names of parameters; all else is click's."""
        super().__init__(*arguments, **more)
        self._sections = sections or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section, in the order of the sections' names."""
        records = {
            str(parameter.name): record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            and (record := parameter.get_help_record(ctx)) is not None
        }
        for title, names in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([records.pop(name) for name in names if name in records])
        with formatter.section("Options"):
            formatter.write_dl(list(records.values()))
