"""k2compat completion: the script that lets a shell complete commands, options and codes."""

import click
from click.shell_completion import get_completion_class

from k2compat.cli.output import Outcome

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> Outcome:
    """Print the completion script for SHELL, to be read by its start-up file.

    \b
    bash: echo 'eval "$(k2compat completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(k2compat completion zsh)"' >> ~/.zshrc
    fish: k2compat completion fish > ~/.config/fish/completions/k2compat.fish
    """  # noqa: D301 - click's mark for lines that stay as they are
    program = context.find_root().command
    completion = get_completion_class(shell)
    if completion is None:
        raise AssertionError(shell)
    script = completion(program, {}, "k2compat", "_K2COMPAT_COMPLETE").source()
    return Outcome({"shell": shell, "script": script}, script)
