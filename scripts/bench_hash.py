"""Hold `validate --hash` against coreutils' sha256sum, on the same files with as many threads.

    python scripts/bench_hash.py [FOLDER]

Writes eight files of 128 MiB below FOLDER (else the temporary folder), with the metadata that
`hf download --local-dir` leaves, and reads them once so that both find them in memory. The
baseline is `xargs -P THREADS -n 1 sha256sum`. coreutils may have been built without the processor's
own SHA-256 instructions; `openssl dgst`, where it is installed, uses them, and is printed, too.
Prints times, speeds and ratios for one thread and for one a core; exit 1 where ours has less than
0.9 of the speed of sha256sum.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from k2compat.checkpoint import HashPlan, check_hashes, plan_hashes
from k2compat.checkpoint.hashes.check import core_count

FILES = 8
FILE_BYTES = 128 << 20
BASELINE = "sha256sum"
SPEED_RATIO = 0.9
ROUNDS = 3
PIECE_BYTES = 1 << 20


def write_files(folder: Path) -> list[Path]:
    """Files as of a download, with the hashes that they have."""
    metadata = folder / ".cache" / "huggingface" / "download"
    metadata.mkdir(parents=True)
    paths = []
    for number in range(1, FILES + 1):
        path = folder / f"model-{number}-of-{FILES}.safetensors"
        state = hashlib.sha256()
        with path.open("wb") as file:
            for _ in range(FILE_BYTES // PIECE_BYTES):
                piece = os.urandom(PIECE_BYTES)
                state.update(piece)
                file.write(piece)
        lines = f"{'0' * 40}\n{state.hexdigest()}\n{time.time()}\n"
        (metadata / f"{path.name}.metadata").write_text(lines)
        paths.append(path)
    return paths


def other(program: list[str], paths: list[Path], threads: int) -> None:
    """One process of a program for each file, so many at once."""
    words = ["xargs", "--null", "-P", str(threads), "-n", "1", *program]
    names = b"\0".join(os.fsencode(path) for path in paths)
    subprocess.run(words, input=names, stdout=subprocess.DEVNULL, check=True)


def ours(plan: HashPlan, threads: int) -> None:
    """The same files by our own threads; the result is compared."""
    check = check_hashes(plan, threads=threads)
    if check.matching != FILES:
        raise AssertionError(check.findings)


def fastest(rounds: list[Callable[[], None]]) -> list[float]:
    """Seconds of the fastest run of each; they take turns, so that a busy machine slows both."""
    seconds = [float("inf")] * len(rounds)
    for _ in range(ROUNDS):
        for number, run in enumerate(rounds):
            begin = time.perf_counter()
            run()
            seconds[number] = min(seconds[number], time.perf_counter() - begin)
    return seconds


def main() -> int:
    """Measure and print; 1 if the bar is missed."""
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    programs = {"sha256sum": ["sha256sum"], "openssl dgst": ["openssl", "dgst", "-sha256"]}
    missed = False
    with tempfile.TemporaryDirectory(dir=parent) as name:
        paths = write_files(Path(name))
        plan = plan_hashes(Path(name))
        gigabytes = FILES * FILE_BYTES / 1e9
        for threads in sorted({1, core_count()}):
            there = {each: words for each, words in programs.items() if shutil.which(words[0])}
            theirs = [partial(other, words, paths, threads) for words in there.values()]
            mine, *seconds = fastest([partial(ours, plan, threads), *theirs])
            print(f"{threads} threads: --hash {mine:.2f} s, {gigabytes / mine:.2f} GB/s")
            for each, taken in zip(there, seconds, strict=True):
                bar = f" ≥ {SPEED_RATIO}" if each == BASELINE else ""
                print(f"    {taken / mine:.2f}{bar} of the speed of {each}, {taken:.2f} s")
                missed |= each == BASELINE and taken / mine < SPEED_RATIO
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
