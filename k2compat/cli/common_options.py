"""The options that every command takes.

The sink needs them before click has parsed anything, because usage errors are printed in the
same form. So they are read from the words of the command line, and click only checks them.
"""

from collections.abc import Sequence

import click

_HELP = {
    "--json": "Print one JSON document.",
    "--quiet": "Print findings and the answer only.",
}


def has_option(arguments: Sequence[str], name: str) -> bool:
    """Whether the command line has the option; after `--` there are no options."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return name in options


def with_common_options(command: click.Command) -> click.Command:
    """Add the options that the command does not have yet."""
    known = {name for parameter in command.params for name in parameter.opts}
    command.params += [
        click.Option([name], is_flag=True, expose_value=False, help=text)
        for name, text in _HELP.items()
        if name not in known
    ]
    return command
