"""The `k2compat` program: finds the command, and prints every result and failure in one form."""

import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from k2compat import __version__
from k2compat.cli.common_options import has_option, with_common_options
from k2compat.cli.output import OK, Outcome, Output, OutputLostError
from k2compat.errors import K2CompatError, RefusedError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "patch-config": "Switch model_type between kimi_k2 and deepseek_v3.",
    "stage-gguf": "Put a model's files into the folder of its GGUFs.",
    "validate": "Check a checkpoint against its config.",
    "launch": "Print the commands that serve a model, for each node.",
    "preflight": "Find what would stop a launch, before it.",
    "parse": "Read the tool calls in a model's raw output.",
    "serve": "Repair requests and answers in front of a server.",
    "check-endpoint": "Check a server's tool calls, and name the faults.",
    "modernize": "Translate an old command line into today's.",
    "explain": "Explain a code.",
    "demo": "Run the main jobs on a small generated checkpoint.",
    "completion": "Print a shell's completion script.",
}
"""Name → short help, in the order of the work.

The help and the completion of names read this table: importing all commands for their short
helps takes five times as long as importing click.
"""

_COMPLETION = "_K2COMPAT_COMPLETE"

# The state after an interrupted command. Commands that are not listed write nothing.
_AFTER_INTERRUPTION = {
    "stage-gguf": "Run the same command again: it continues where it stopped.",
    "patch-config": "Every file is the old one or the new one. Run the same command again.",
    "launch": "Every file is the old one or the new one. Run the same command again.",
    "validate": "No file of the model was changed. A run with --hash-record continues.",
    "demo": "The folder that --keep names may hold a part of the models: remove it.",
}
_NOTHING_CHANGED = "Nothing was changed."


class Commands(click.Group):
    """The commands of the table, each in a module of cli/commands that holds it as `command`.

    A module is imported when its command is called.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and short helps without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete names without importing a command."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"k2compat.cli.commands.{cmd_name.replace('-', '_')}")
        return with_common_options(module.command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or report the nearest name."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"Did you mean k2compat {near[0]}?" if near else "k2compat --help lists all."
            raise RefusedError("wrong-usage", f"There is no command {name!r}.", hint=hint)
        return super().resolve_command(ctx, args)


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
    """A signal that ends the program. Every `finally` runs, so that nothing unfinished stays."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status. Every failure is printed here."""
    output = Output(as_json=has_option(arguments, "--json"), quiet=has_option(arguments, "--quiet"))
    name = _command_name(arguments)
    try:
        return _run(output, name, arguments)
    except BrokenPipeError:  # stdout's reader has ended, as with `| head`
        return 128 + signal.SIGPIPE
    except OutputLostError as error:
        return output.report_lost_output(error)
    except (KeyboardInterrupt, Ended) as end:  # a second signal before the first was handled
        output.drop_answer()
        return 128 + _signal_of(end)


def _run(output: Output, name: str, arguments: Sequence[str]) -> int:
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape", write_through=True)
    try:
        with contextlib.redirect_stdout(printed):
            result = _invoke(output, arguments)
        return output.finish(name, result) if isinstance(result, Outcome) else OK
    except click.exceptions.Exit as end:  # --help and --version, which click prints itself
        printed.seek(0)
        output.print_text(printed.read())
        return end.exit_code
    except (BrokenPipeError, OutputLostError):
        raise
    except (KeyboardInterrupt, Ended) as end:
        output.drop_answer()
        _show_traceback()
        number = _signal_of(end)
        words = f"Interrupted by {signal.Signals(number).name}."
        hint = _AFTER_INTERRUPTION.get(name, _NOTHING_CHANGED)
        output.print_error(name, K2CompatError("interrupted", words, hint=hint))
        return 128 + number
    except Exception as error:  # noqa: BLE001 - the one place where every failure gets its form
        _show_traceback()
        return output.print_error(name, _as_own(error, name, arguments))


def _signal_of(end: BaseException) -> int:
    return end.number if isinstance(end, Ended) else signal.SIGINT


def _invoke(output: Output, arguments: Sequence[str]) -> Any:
    if _COMPLETION in os.environ:
        from click.shell_completion import shell_complete

        shell_complete(program, {}, "k2compat", _COMPLETION, os.environ[_COMPLETION])
        raise click.exceptions.Exit
    with program.make_context("k2compat", list(arguments) or ["--help"], obj=output) as context:
        return program.invoke(context)


def _command_name(arguments: Sequence[str]) -> str:
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    return first if first in COMMANDS else "k2compat"


def _as_own(error: Exception, name: str, arguments: Sequence[str]) -> K2CompatError:
    if isinstance(error, K2CompatError):
        return error
    if isinstance(error, click.ClickException):
        program_name = "k2compat" if name == "k2compat" else f"k2compat {name}"
        hint = f"{program_name} --help"
        message = " ".join(error.format_message().split())  # click lists choices on lines
        return K2CompatError("wrong-usage", message, hint=hint)
    if isinstance(error, MemoryError):
        return _out_of_memory(error, arguments)
    return K2CompatError(
        "internal-error",
        f"k2compat itself failed: {type(error).__name__}: {error}.",
        hint="This is a bug. Report it with the traceback that K2COMPAT_DEBUG=1 shows.",
    )


def _out_of_memory(error: MemoryError, arguments: Sequence[str]) -> K2CompatError:
    """The error names the file that was read, or else the whole command line."""
    from k2compat.shell_line import shell_line

    read = getattr(error, "__notes__", ())  # errors.reading notes files, the innermost first
    where = f"while it read {read[0]}" if read else f"in `{shell_line('k2compat', *arguments)}`"
    return K2CompatError(
        "out-of-memory",
        f"k2compat ran out of memory {where}.",
        hint="Raise the limit (ulimit -v, or the job's or container's), or free memory.",
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
    status = run(sys.argv[1:] if arguments is None else arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)  # else a traceback would follow
    sys.exit(status)
