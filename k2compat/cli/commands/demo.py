"""k2compat demo: the main jobs on the talking model, a small generated Kimi-K2."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import click

from k2compat.cli.gateway_demo import WHY, ask_through_gateway
from k2compat.cli.output import FOUND_ERRORS, OK, REFUSED, Outcome, Output
from k2compat.cli.paths import PATH
from k2compat.errors import RefusedError
from k2compat.printable import printable
from k2compat.shell_line import shell_line

MODEL = "Kimi-K2-talking"
OUTPUTS = "outputs"
GGUFS = "Kimi-K2-talking-GGUF"
DAMAGED = "Kimi-K2-talking-damaged"


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and its reason.

    Attributes:
        why: The reason, in one line.
        arguments: The words after `k2compat`.
        exit_code: The exit status it must have.
    """

    why: str
    arguments: tuple[str, ...]
    exit_code: int = OK


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was run: its command, and the result."""

    why: str
    command: str
    exit_code: int
    expected_exit_code: int
    stdout: str
    stderr: str


STEPS = (
    Step("Is the checkpoint what its config says?", ("validate", MODEL)),
    Step(
        "The same for a copy that lacks a shard and has another one cut.",
        ("validate", DAMAGED),
        FOUND_ERRORS,
    ),
    Step(
        "Show what would change for a framework that knows only deepseek_v3.",
        ("patch-config", MODEL, "--to", "deepseek_v3", "--dry-run"),
    ),
    Step("Change it: one value, no other byte.", ("patch-config", MODEL, "--to", "deepseek_v3")),
    Step("And back again.", ("patch-config", MODEL, "--to", "kimi_k2")),
    Step(
        "Bring everything but the weights beside the GGUF, as KTransformers wants it.",
        ("stage-gguf", MODEL, GGUFS),
    ),
    Step("The same again finds nothing to do.", ("stage-gguf", MODEL, GGUFS, "--check")),
    Step(
        "Read the tool calls in what a model wrote; here the end of the call is missing.",
        ("parse", f"{OUTPUTS}/call.txt"),
    ),
    Step(
        "Which command serves a model of the family on 8 × H200, and does it fit?",
        ("launch", "vllm", "moonshotai/Kimi-K2-Thinking", "--gpu", "h200"),
    ),
    Step("What does a code mean?", ("explain", "patch-tool-call-ids")),
)


@click.command("demo")
@click.option(
    "--keep",
    metavar="DIR",
    type=PATH,
    help="Work in the new folder DIR and leave it.  [default: a temporary folder]",
)
@click.pass_obj
def command(output: Output, keep: Path | None) -> Outcome:
    """Make a small Kimi-K2 that really runs, as checkpoint and as GGUF, and work on both.

    Every command is run as it is printed; you can type it on a real model. With --keep you can
    type it on these models, too.
    """
    done = []
    with _folder(keep) as folder:
        gguf = make_models(folder)
        made = f"{MODEL} (FP8 safetensors) and {GGUFS}, a small Kimi-K2 that replays scripts"
        _narrate(output, printable(f"In {folder}: {made}."))
        for step in STEPS:
            result = run_step(step, folder)
            done.append(result)
            _narrate(output, "\n".join(_lines(result)))
        gateway = show_gateway(folder / MODEL, gguf)
        done.append(gateway)
        _narrate(output, "\n".join(_lines(gateway)))
    failed = [result for result in done if result.exit_code != result.expected_exit_code]
    if failed and output.quiet:  # the failed command is not shown above
        output.print_part("\n".join(line for result in failed for line in _lines(result)))
    succeeded = not failed
    answer = "All of it went as it should." if succeeded else "The demo failed: see above."
    if not output.quiet:
        answer = f"\n{answer}"
    if keep is not None:
        answer += f"\nThe models stay. Type any of these commands there: {shell_line('cd', keep)}"
    document = {
        "folder": None if keep is None else str(keep),
        "steps": [asdict(result) for result in done],
    }
    return Outcome(document, answer, exit_code=OK if succeeded else FOUND_ERRORS)


def _narrate(output: Output, text: str) -> None:
    if not output.quiet:
        output.print_part(text)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """A folder for the demo: a temporary one, or one that stays.

    Raises:
        RefusedError: folder-not-empty, or not-readable.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="k2compat-demo-") as name:
            yield Path(name)
        return
    from k2compat.files import explained_reading, make_folder

    with explained_reading(keep):
        in_use = os.path.lexists(keep) and not _is_empty_folder(keep)
    if in_use:
        raise RefusedError(
            "folder-not-empty",
            f"{keep} is in use: the demo works in a new or empty folder.",
            hint="Name a new folder, or remove that one.",
        )
    make_folder(keep)
    yield keep


def _is_empty_folder(path: Path) -> bool:
    return not path.is_symlink() and path.is_dir() and not any(path.iterdir())


def make_models(folder: Path) -> Path:
    """Make the checkpoint, a damaged copy of it, and the GGUF folder; the path of the GGUF."""
    from k2compat.files import build_folder
    from k2compat.samples import raw_output
    from k2compat.samples.talking import GGUF_FILE, talking_files, write_talking_model

    files = talking_files()
    build_folder(folder / MODEL, files)
    lost, cut, *_ = (name for name in files if name.endswith(".safetensors"))
    files[cut] = files[cut][:-1000]
    del files[lost]
    build_folder(folder / DAMAGED, files)
    build_folder(folder / OUTPUTS, {"call.txt": raw_output().encode()})
    write_talking_model(folder / GGUFS, form="gguf")
    return folder / GGUFS / GGUF_FILE


def run_step(step: Step, folder: Path) -> Done:
    """Run one command in a process of its own, as in a shell."""
    process = subprocess.run(  # noqa: S603 - our own program and arguments
        [sys.executable, "-m", "k2compat", *step.arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return Done(
        step.why,
        shell_line("k2compat", *step.arguments),
        process.returncode,
        step.exit_code,
        process.stdout,
        process.stderr,
    )


def show_gateway(model: Path, gguf: Path) -> Done:
    """Ask a server that leaks, without the gateway and through it."""
    arguments, exit_code, shown, log = ask_through_gateway(model, gguf)
    # Without the extra, serve refuses with the command that installs it.
    expected = OK if find_spec("aiohttp") and find_spec("prometheus_client") else REFUSED
    return Done(WHY, shell_line("k2compat", *arguments), exit_code, expected, shown, log)


def _lines(done: Done) -> Iterator[str]:
    yield f"\n# {done.why}"
    yield f"$ {done.command}"
    yield from (done.stdout + done.stderr).splitlines()
    if done.exit_code != done.expected_exit_code:
        yield f"exit status {done.exit_code}, expected {done.expected_exit_code}"
