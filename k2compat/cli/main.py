"""The `k2compat` program: finds the command, and gives every end of it one form."""

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from k2compat import __version__
from k2compat.cli.output import REFUSED, Outcome, Output
from k2compat.errors import K2CompatError

# A command's module is imported when the command is called.
COMMANDS = {
    "patch-config": "patch_config",
    "stage-gguf": "stage_gguf",
    "explain": "explain",
    "demo": "demo",
    "completion": "completion",
}

INTERRUPTED = 128 + signal.SIGINT


class Commands(click.Group):
    """The commands, each in a module of its own that holds it as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"k2compat.cli.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        if all(parameter.name != "json" for parameter in command.params):
            command.params.append(_json_option())
        return command


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


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status. Nothing is raised but SystemExit."""
    output = Output(as_json=wants_json(arguments))
    name = next((argument for argument in arguments if argument in COMMANDS), "k2compat")
    try:
        try:
            result = program.main(
                list(arguments) or ["--help"],
                prog_name="k2compat",
                standalone_mode=False,
                obj=output,
            )
            return output.finish(name, result) if isinstance(result, Outcome) else int(result or 0)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where every failure gets its form
            _show_traceback()
            return _fail(output, name, error)
    except BrokenPipeError:
        return _reader_is_gone()
    except OSError as error:  # stdout itself: a full disk behind a redirection
        with contextlib.suppress(OSError):
            output.say(f"error: the output could not be written: {error.strerror} [output-failed]")
        return REFUSED


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether --json stands among the options."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _fail(output: Output, name: str, error: Exception) -> int:
    if isinstance(error, click.Abort):
        output.fail(name, K2CompatError("interrupted", "Interrupted.", hint=_AGAIN))
        return INTERRUPTED
    return output.fail(name, _as_own(error, name))


_AGAIN = "Run the same command again: it continues where it stopped."


def _as_own(error: Exception, name: str) -> K2CompatError:
    if isinstance(error, K2CompatError):
        return error
    if isinstance(error, click.ClickException):
        program_name = "k2compat" if name == "k2compat" else f"k2compat {name}"
        hint = f"{program_name} --help"
        return K2CompatError("wrong-usage", error.format_message(), hint=hint)
    return K2CompatError(
        "internal-error",
        f"k2compat itself failed: {type(error).__name__}: {error}.",
        hint="This is a bug. Report it with the traceback that K2COMPAT_DEBUG=1 shows.",
    )


def _show_traceback() -> None:
    if os.environ.get("K2COMPAT_DEBUG"):
        import traceback

        traceback.print_exc()


def _reader_is_gone() -> int:
    # Python flushes stdout once more at exit; give it something that takes the rest.
    with contextlib.suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    # As an exception it passes every `finally`, so nothing half made stays behind.
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> Any:
    """The entry point of the installed program."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _terminate)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
