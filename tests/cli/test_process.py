"""The program as a process: its streams, its signals, its environment."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k2compat import __version__
from tests.support.command import ENVIRONMENT, PROGRAM, Result, k2compat
from tests.support.configs import KIMI, PATCHED


def patch_config(model: Path, *options: str) -> list[str]:
    return ["patch-config", str(model), "--to", "deepseek_v3", *options]


def test_version_and_help_go_to_stdout() -> None:
    assert k2compat("--version").out.decode() == f"k2compat {__version__}\n"
    assert k2compat("-h").out == k2compat().out
    assert b"patch-config" in k2compat("-h").out


@pytest.mark.sample(5)
@pytest.mark.parametrize("environment", [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONUTF8": "0"}])
@pytest.mark.parametrize(
    "name", [b"\xe6\xa8\xa1\xe5\x9e\x8b", b"\xff\xfe", b"a\nb\x1b[31m"], ids=ascii
)
def test_any_path_is_printed_in_any_locale(
    tmp_path: Path, name: bytes, environment: dict[str, str]
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    folder.mkdir()
    (folder / "config.json").write_bytes(KIMI)
    done = k2compat(*patch_config(folder), "--dry-run", environment=environment)
    assert (done.code, b"\x1b" in done.out + done.err) == (0, False)
    as_json = k2compat(*patch_config(folder), "--json", environment=environment)
    assert as_json.document["path"] == str(folder / "config.json")
    assert (folder / "config.json").read_bytes() == PATCHED


def test_words_have_colour_on_a_terminal_only(model: Path) -> None:
    plain = k2compat("explain", "nonsense")
    assert b"\x1b" not in plain.err
    assert b"\x1b[1;31merror\x1b[0m" in on_a_terminal("explain", "nonsense")
    assert b"\x1b" not in on_a_terminal("explain", "nonsense", NO_COLOR="1")
    assert b"\x1b" not in on_a_terminal("explain", "nonsense", TERM="dumb")


def test_a_terminal_gets_lines_that_fit_and_a_pipe_whole_messages(model: Path) -> None:
    shown = on_a_terminal(*patch_config(model), COLUMNS="80", NO_COLOR="1").decode()
    # A path is not broken, nor a fix, which is pasted.
    unbroken = (str(model), "  fix: ")
    lines = [line for line in shown.splitlines() if not any(part in line for part in unbroken)]
    assert max(map(len, lines)) <= 80
    k2compat("patch-config", model, "--to", "kimi_k2")
    piped = k2compat(*patch_config(model)).words
    assert (
        len([line for line in piped.splitlines() if line.startswith(("warning: ", "info: "))]) == 3
    )


def on_a_terminal(*arguments: str, **environment: str) -> bytes:
    """What a person sees on stderr; stdout is a pipe."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=secondary,
        env={**ENVIRONMENT, "TERM": "xterm", **environment},
    )
    os.close(secondary)
    seen = b""
    while chunk := _read(primary):
        seen += chunk
    os.close(primary)
    process.wait(60)
    return seen.replace(b"\r\n", b"\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # so a terminal says that its other end is closed
        return b""


@pytest.mark.parametrize("command", ["explain", "explain --json", "--help"])
def test_a_reader_that_leaves_gets_no_traceback(command: str) -> None:
    line = 'set -o pipefail; "$@" | head -c 1 >/dev/null'
    result = k2compat(*command.split(), before=line)
    assert result.err == b""
    assert result.code in (0, 128 + signal.SIGPIPE)  # it may have written all before
    gone = k2compat(*command.split(), before='set -o pipefail; "$@" | exec sleep 0')
    assert b"Traceback" not in gone.err


@pytest.mark.parametrize("command", ["explain", "explain --json", "--help", "--version"])
def test_an_answer_that_is_lost_is_told(command: str) -> None:
    result = k2compat(*command.split(), before='exec "$@" >/dev/full')
    assert result.code == 1
    assert result.words.startswith("error: The answer could not be written: No space left")
    assert "[output-failed]\nhint: " in result.words


@pytest.mark.sample(4)
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.1])
def test_nothing_follows_a_document_that_ctrl_c_cuts_off(
    delay: float, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [PROGRAM, "explain", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    begin = os.read(process.stdout.fileno(), 1)  # the reader is slow: the pipe gets full
    time.sleep(delay)
    process.send_signal(number)
    process.wait(60)  # it does not wait for the reader
    rest, err = process.communicate(timeout=60)
    whole = k2compat("explain", "--json").out
    assert whole.startswith(begin + rest)
    assert len(begin + rest) < len(whole)
    assert process.returncode == 128 + number
    assert b"[interrupted]" in err


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ("patch-config model --to deepseek_v3", "model/config.json"),
        ("validate model", "model/config.json"),
        ("parse large.txt --tools model/config.json", "model/config.json"),
    ],
)
def test_out_of_memory_names_what_was_read(tmp_path: Path, arguments: str, file: str) -> None:
    if sys.platform != "linux":
        pytest.skip("ulimit -v limits nothing here")
    (tmp_path / "model").mkdir()
    many = b'{"model_type": "kimi_k2", "a": [' + b"[]," * 2_000_000 + b"[]]}"
    (tmp_path / file).write_bytes(many)
    (tmp_path / "model" / "model.safetensors").write_bytes(bytes(100))
    limited = 'ulimit -v 160000; exec "$@"'
    result = k2compat(*arguments.split(), "--json", folder=tmp_path, before=limited)
    assert result.code == 2
    assert result.document["error"]["code"] == "out-of-memory"
    assert (
        result.document["error"]["message"] == f"k2compat ran out of memory while it read {file}."
    )


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_refusal_stays_one_where_its_document_is_lost(options: str) -> None:
    result = k2compat("explain", "nonsense", *options.split(), before='exec "$@" >/dev/full')
    assert result.code == 2
    assert "[unknown-code]" in result.words


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_the_work_is_done_whatever_stream_is_closed(model: Path, streams: str) -> None:
    result = k2compat(*patch_config(model), before=f'exec "$@" {streams}')
    assert result.code == 0
    assert (model / "config.json").read_bytes() == PATCHED


@contextmanager
def waiting_for_the_lock(
    model: Path, *options: str, ignored: signal.Signals | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A run that waits because another one is writing in the folder."""
    descriptor = os.open(model, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    ignore = f"trap '' {ignored.name.removeprefix('SIG')};" if ignored else ""
    process = subprocess.Popen(
        ["bash", "-c", f'{ignore} exec "$@"', "bash", PROGRAM, *patch_config(model, *options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stderr is not None
    assert b"waiting" in process.stderr.readline()
    try:
        yield process
    finally:
        os.close(descriptor)
        process.communicate(timeout=60)


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that ends programs, even where these tests run under nohup or as a job."""
    before = signal.getsignal(request.param)
    if before is signal.SIG_IGN:
        signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_ends_the_wait_and_leaves_nothing(model: Path, number: signal.Signals) -> None:
    for options in ([], ["--json"]):
        with waiting_for_the_lock(model, *options) as process:
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        result = Result(process.returncode, out, err)
        assert result.code == 128 + number
        assert b"Traceback" not in err
        assert b"[interrupted]" in err or result.document["error"]["code"] == "interrupted"
        assert {path.name for path in model.iterdir()} == {
            "config.json",
            "model-1-of-1.safetensors",
        }
        assert (model / "config.json").read_bytes() == KIMI


def test_a_run_under_nohup_outlives_its_terminal(model: Path) -> None:
    with waiting_for_the_lock(model, ignored=signal.SIGHUP) as process:
        process.send_signal(signal.SIGHUP)
    assert process.returncode == 0
    assert (model / "config.json").read_bytes() == PATCHED


def test_the_traceback_is_shown_to_those_who_ask() -> None:
    assert "Traceback" not in k2compat("explain", "nonsense").words
    shown = k2compat("explain", "nonsense", environment={"K2COMPAT_DEBUG": "1"}).words
    assert "Traceback" in shown
    assert "\nerror: There is no code 'nonsense'. [unknown-code]\nhint: " in shown


def test_the_import_is_light() -> None:
    script = "import sys, k2compat; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    heavy = {b"numpy", b"click", b"rich", b"huggingface_hub", b"gguf", b"safetensors"}
    assert not heavy & set(done.stdout.split())


def test_a_patch_imports_only_what_it_uses(model: Path) -> None:
    script = "import sys; from k2compat.cli.main import run; run(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", script, *patch_config(model)]
    done = subprocess.run(command, capture_output=True, check=True)
    unused = {b"numpy", b"rich", b"huggingface_hub", b"gguf", b"ctypes", b"shutil", b"difflib"}
    assert not unused & set(done.stdout.split())
