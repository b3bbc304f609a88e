"""The `k2compat` program: finds the command, and gives every end of it one form."""

import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from k2compat import __version__
from k2compat.cli.output import FINE, Outcome, Output, OutputLostError
from k2compat.errors import K2CompatError, RefusedError

# A command's module is imported when the command is called.
COMMANDS = {
    "patch-config": "patch_config",
    "stage-gguf": "stage_gguf",
    "validate": "validate",
    "launch": "launch",
    "preflight": "preflight",
    "parse": "parse",
    "modernize": "modernize",
    "explain": "explain",
    "demo": "demo",
    "completion": "completion",
}

_COMPLETION = "_K2COMPAT_COMPLETE"

# What an interrupted command leaves. Those that are not named write nothing.
_AFTER_INTERRUPTION = {
    "stage-gguf": "Run the same command again: it continues where it stopped.",
    "patch-config": "Every file is the old one or the new one. Run the same command again.",
    "launch": "Every file is the old one or the new one. Run the same command again.",
}
_NOTHING_CHANGED = "Nothing was changed."


class Commands(click.Group):
    """The commands, each in a module of its own that holds it as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"k2compat.cli.commands.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        if all(parameter.name != "json" for parameter in command.params):
            command.params.append(_json_option())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"Did you mean k2compat {near[0]}?" if near else "k2compat --help lists all."
            raise RefusedError("wrong-usage", f"There is no command {name!r}.", hint=hint)
        return super().resolve_command(ctx, args)


def _json_option() -> click.Option:
    # The sink must know before click has parsed anything, so it looks for itself (wants_json).
    return click.Option(
        ["--json"], is_flag=True, expose_value=False, help="Print one JSON document."
    )


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 fine, 1 errors found (or --check would change something), "
    "2 refused: nothing was changed.",
)
@click.version_option(__version__, prog_name="k2compat", message="%(prog)s %(version)s")
def program() -> None:
    """Get Kimi-K2 running correctly on any inference engine."""


class Ended(BaseException):
    """A signal that ends the program. It passes every `finally`, so nothing half made stays."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status. Every failure ends here in its form."""
    output = Output(as_json=wants_json(arguments))
    name = _command_name(arguments)
    try:
        return _run(output, name, arguments)
    except BrokenPipeError:  # stdout's reader is gone, as with `| head`
        return 128 + signal.SIGPIPE
    except OutputLostError as error:
        return output.lose(error)


def _run(output: Output, name: str, arguments: Sequence[str]) -> int:
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape", write_through=True)
    try:
        with contextlib.redirect_stdout(printed):
            result = _invoke(output, arguments)
        return output.finish(name, result) if isinstance(result, Outcome) else FINE
    except click.exceptions.Exit as end:  # --help and --version, which click prints itself
        printed.seek(0)
        output.print_text(printed.read())
        return end.exit_code
    except (BrokenPipeError, OutputLostError):
        raise
    except (KeyboardInterrupt, Ended) as end:
        _show_traceback()
        number = end.number if isinstance(end, Ended) else signal.SIGINT
        words = f"Interrupted by {signal.Signals(number).name}."
        hint = _AFTER_INTERRUPTION.get(name, _NOTHING_CHANGED)
        output.fail(name, K2CompatError("interrupted", words, hint=hint))
        return 128 + number
    except Exception as error:  # noqa: BLE001 - the one place where every failure gets its form
        _show_traceback()
        return output.fail(name, _as_own(error, name))


def _invoke(output: Output, arguments: Sequence[str]) -> Any:
    if _COMPLETION in os.environ:
        from click.shell_completion import shell_complete

        shell_complete(program, {}, "k2compat", _COMPLETION, os.environ[_COMPLETION])
        raise click.exceptions.Exit
    with program.make_context("k2compat", list(arguments) or ["--help"], obj=output) as context:
        return program.invoke(context)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether --json stands among the options."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _command_name(arguments: Sequence[str]) -> str:
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    return first if first in COMMANDS else "k2compat"


def _as_own(error: Exception, name: str) -> K2CompatError:
    if isinstance(error, K2CompatError):
        return error
    if isinstance(error, click.ClickException):
        program_name = "k2compat" if name == "k2compat" else f"k2compat {name}"
        hint = f"{program_name} --help"
        message = " ".join(error.format_message().split())  # click lists choices on lines
        return K2CompatError("wrong-usage", message, hint=hint)
    return K2CompatError(
        "internal-error",
        f"k2compat itself failed: {type(error).__name__}: {error}.",
        hint="This is a bug. Report it with the traceback that K2COMPAT_DEBUG=1 shows.",
    )


def _show_traceback() -> None:
    if os.environ.get("K2COMPAT_DEBUG"):
        import traceback

        traceback.print_exc()


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise Ended(number)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point of the installed program."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _end)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
