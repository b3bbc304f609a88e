"""How long `k2compat stage-gguf` takes, and how much memory.

    python scripts/bench_stage_gguf.py [FOLDER]

Works in FOLDER (a temporary one by default); give a folder on the file system to be measured.
On one that clones (Btrfs, XFS) the clones are measured as well.

- copy: 2,000 files and 1 GB, against `cp -r` of the same and `sync`, in turns.
- hardlink and clone: the same 2,000 files with 1 GB against 2,000 with 10 MB.
- memory: the peak with 1 GB against the peak with 10 MB.

Each is the whole process. Exits with 1 where a bar is missed.
"""

import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FILES = 2000
LARGE, SMALL = 1_000_000_000, 10_000_000
ROUNDS = 5

COPY_BAR = 1.3  # times the baseline, and then
COPY_GRACE = 0.3  # seconds, for the start of Python and the check of the result
SIZE_BAR = 1.25  # a link's time must not depend on the size
MEMORY_BAR = 1.1


def make_model(folder: Path, total: int) -> Path:
    """A model of FILES files with `total` bytes beside its config."""
    content = bytes(range(256)) * (total // FILES // 256 + 1)
    for number in range(FILES):
        place = folder / f"part{number % 20}" / f"file{number}.dat"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content[: total // FILES])
    (folder / "config.json").write_text('{"model_type": "kimi_k2"}')
    return folder


@contextlib.contextmanager
def target(folder: Path) -> Iterator[Path]:
    """A fresh GGUF folder; the disk is at rest when it is handed out."""
    place = Path(tempfile.mkdtemp(dir=folder))
    (place / "model.gguf").write_bytes(b"GGUF")
    subprocess.run(["sync"], check=True)
    try:
        yield place
    finally:
        shutil.rmtree(place)


def staging_seconds(model: Path, folder: Path, mode: str) -> float:
    """One run of the program. The check finds the folder lacking: exit status 1."""
    program = str(Path(sys.executable).with_name("k2compat"))
    with target(folder) as place:
        started = time.perf_counter()
        process = subprocess.run(
            [program, "stage-gguf", str(model), str(place), "--link", mode],
            check=False,
            capture_output=True,
            text=True,
        )
        elapsed = time.perf_counter() - started
        if process.returncode != 1 or not (place / "part19" / "file1999.dat").exists():
            sys.exit(process.stdout + process.stderr)
        if "copied" in process.stderr and mode != "auto":
            raise NotImplementedError(mode)
        return elapsed


def copying_seconds(model: Path, folder: Path) -> float:
    """`cp -r` and `sync`."""
    with target(folder) as place:
        started = time.perf_counter()
        subprocess.run(["cp", "-r", f"{model}/.", place], check=True)
        subprocess.run(["sync"], check=True)
        return time.perf_counter() - started


def compare_copy(model: Path, folder: Path) -> bool:
    """Our copy against the system's."""
    pairs = [
        (staging_seconds(model, folder, "copy"), copying_seconds(model, folder))
        for _ in range(ROUNDS)
    ]
    ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    allowed = COPY_BAR * theirs + COPY_GRACE
    print(f"copy, {FILES} files, 1 GB: {ours:.2f} s; cp -r and sync: {theirs:.2f} s")
    print(f"  ratio {ours / theirs:.2f} (bar: {COPY_BAR} x + {COPY_GRACE} s = {allowed:.2f} s)")
    return bool(ours <= allowed)


def compare_sizes(large: Path, small: Path, folder: Path, mode: str) -> bool:
    """The time of links to 1 GB against that of links to 10 MB."""
    try:
        pairs = [
            (staging_seconds(large, folder, mode), staging_seconds(small, folder, mode))
            for _ in range(ROUNDS)
        ]
    except NotImplementedError:
        print(f"{mode}: not on this file system")
        return True
    more, less = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{mode}, 1 GB: {more:.2f} s; 10 MB: {less:.2f} s")
    print(f"  ratio {more / less:.2f} (bar: {SIZE_BAR})")
    return bool(more <= SIZE_BAR * less)


def peak_memory(model: Path, folder: Path) -> int:
    """The peak resident memory, in KiB, of one copying run."""
    program = (
        "import resource, sys; from k2compat.cli.main import run; run(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    with target(folder) as place:
        command = [sys.executable, "-c", program, "stage-gguf", str(model), str(place)]
        process = subprocess.run(
            [*command, "--link", "copy"], check=True, capture_output=True, text=True
        )
        return int(process.stderr.splitlines()[-1])


def compare_memory(large: Path, small: Path, folder: Path) -> bool:
    """The peak with 1 GB against the peak with 10 MB."""
    more, less = peak_memory(large, folder), peak_memory(small, folder)
    print(f"peak memory, 1 GB: {more / 1024:.0f} MiB; 10 MB: {less / 1024:.0f} MiB")
    print(f"  ratio {more / less:.2f} (bar: {MEMORY_BAR})")
    return more <= MEMORY_BAR * less


def main() -> int:
    """Make the models, measure, tell."""
    where = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        large, small = make_model(folder / "large", LARGE), make_model(folder / "small", SMALL)
        met = [
            compare_copy(large, folder),
            compare_sizes(large, small, folder, "hardlink"),
            compare_sizes(large, small, folder, "clone"),
            compare_memory(large, small, folder),
        ]
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
