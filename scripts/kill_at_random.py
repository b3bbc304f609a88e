"""End stage-gguf and patch-config by SIGKILL at random moments; look at what is left.

    python scripts/kill_at_random.py --runs 200

After each kill every file must hold its old bytes or its new ones, apart from hidden names. The
same command is then run to its end: it must succeed, give the new bytes and leave nothing hidden.
The moments are spread evenly over the time that the command takes without its imports.
"""

import argparse
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from k2compat.cli.main import run
from k2compat.samples import checkpoint_files, write_gguf

HIDDEN = ".k2compat-"
STAGED = {
    name: content
    for name, content in checkpoint_files().items()
    if not name.endswith(".safetensors")
}


class Stage:
    """Stage a model whose large file takes a moment to copy, over an older README."""

    name = "stage-gguf"

    def __init__(self, folder: Path) -> None:
        """Write the model and the GGUF folder."""
        self.files = {**STAGED, "figures/large.png": bytes(range(256)) * 32_768}
        self.folder = folder / "ggufs"
        self._model = folder / "model"
        write_all(self._model, self.files)
        self.old = {"README.md": b"theirs"}
        self.folder.mkdir()
        write_gguf(self.folder / "tiny.gguf")
        self.kept = {"tiny.gguf": (self.folder / "tiny.gguf").read_bytes()}
        self.new = {**self.files, **self.kept}

    def command(self) -> list[str]:
        """The words of the command line."""
        return ["stage-gguf", str(self._model), str(self.folder), "--link", "copy", "--force"]


class Patch:
    """Patch a config of some size, with a backup."""

    name = "patch-config"

    def __init__(self, folder: Path) -> None:
        """Write the model's folder."""
        self.folder = folder / "model"
        self.folder.mkdir()
        config = STAGED["config.json"]
        old = config.replace(b"{", b'{"filler": "' + b"x" * 1_000_000 + b'", ', 1)
        self.old = {"config.json": old}
        self.kept: dict[str, bytes] = {}
        new = old.replace(b'"kimi_k2"', b'"deepseek_v3"')
        self.new = {"config.json": new, "config.json.bak": old}

    def command(self) -> list[str]:
        """The words of the command line."""
        return ["patch-config", str(self.folder), "--to", "deepseek_v3", "--backup"]


def main() -> int:
    """Kill and look; exit with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    broken = False
    for kind in (Stage, Patch):
        with TemporaryDirectory() as folder:
            outcomes = Counter(kill_at_random(kind(Path(folder)), options.runs))
        shown = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"{kind.name}: {options.runs} kills: {shown}")
        broken = broken or any(outcome.startswith("BROKEN") for outcome in outcomes)
    return int(broken)


def kill_at_random(case: Stage | Patch, runs: int) -> list[str]:
    """What was found after each of the kills."""
    load_modules(case)
    seconds = statistics.median(timed(case) for _ in range(9))
    return [one_kill(case, random.uniform(0, seconds)) for _ in range(runs)]


def load_modules(case: Stage | Patch) -> None:
    """Run the command once in this process, so that no child spends its time on imports."""
    restore(case)
    kept = os.dup(1), os.dup(2)
    silence()
    run(case.command())
    for number, descriptor in enumerate(kept, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)


def timed(case: Stage | Patch) -> float:
    """Seconds that the command takes in a child of this process, whose modules are loaded."""
    restore(case)
    begin = time.perf_counter()
    os.waitpid(child(case.command()), 0)
    return time.perf_counter() - begin


def one_kill(case: Stage | Patch, after: float) -> str:
    """Kill the command after some seconds, look, and run it again."""
    restore(case)
    process = child(case.command())
    time.sleep(after)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    held = tree(case.folder)
    visible = {name: content for name, content in held.items() if HIDDEN not in name}
    if not is_old_or_new(case, visible):
        return "BROKEN: a file is neither old nor new"
    _, again = os.waitpid(child(case.command()), 0)
    if os.waitstatus_to_exitcode(again) != 0:
        return "BROKEN: the same command fails afterwards"
    if tree(case.folder) != case.new:
        return "BROKEN: the same command leaves something behind"
    if not os.WIFSIGNALED(status):
        return "over already"
    if visible == case.new:
        return "new"
    return "old" if visible == {**case.old, **case.kept} else "between, each file old or new"


def is_old_or_new(case: Stage | Patch, visible: dict[str, bytes]) -> bool:
    """Whether each file holds one of its two contents, and none that was there is lost."""
    known = all(
        content in (case.old.get(name), case.new.get(name)) for name, content in visible.items()
    )
    return known and visible.keys() >= {**case.old, **case.kept}.keys()


def restore(case: Stage | Patch) -> None:
    """Make the folder as it was before the command."""
    for name in tree(case.folder).keys() - case.kept.keys():
        (case.folder / name).unlink()
    write_all(case.folder, case.old)


def child(words: list[str]) -> int:
    """Run a command line in a child; its process id."""
    process = os.fork()
    if process == 0:
        silence()
        code = 2
        try:
            code = run(words)
        finally:
            os._exit(code)
    return process


def silence() -> None:
    """Let standard output and error lead nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    sys.exit(main())
