"""How long `k2compat --help`, `--version` and the completion of a name take as whole processes.

    python scripts/bench_start.py [RUNS]

Measured against `python -c "import click"`; all take turns, so that a busy machine slows them
alike. Prints the median of each, its ratio and the bar, and exits with 1 where a ratio is above
the bar. The package is compiled before, as an installer compiles it.
"""

import compileall
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BAR = 2.0
RUNS = 40
PROGRAM = str(Path(sys.executable).with_name("k2compat"))
LEAST = "import click"

_COMPLETION = {"_K2COMPAT_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
_COMPLETIONS = {"a command": "k2compat patch", "any command": "k2compat "}


def starts() -> dict[str, tuple[list[str], dict[str, str]]]:
    """What is measured: name → command line and environment."""
    completions = {
        f"completion of {name}": ([PROGRAM], {**_COMPLETION, "COMP_WORDS": words})
        for name, words in _COMPLETIONS.items()
    }
    return {
        LEAST: ([sys.executable, "-c", LEAST], {}),
        "k2compat --version": ([PROGRAM, "--version"], {}),
        "k2compat --help": ([PROGRAM, "--help"], {}),
        **completions,
    }


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Run a command to its end; it must print something, or nothing was measured."""
    started = time.perf_counter()
    done = subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, **environment}
    )
    taken = time.perf_counter() - started
    if not done.stdout and command[-1] != LEAST:
        raise SystemExit(f"{command}: no output")
    return taken


def main() -> int:
    """Run all in turn and compare the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    compileall.compile_dir(Path(__file__).parents[1] / "k2compat", quiet=1)
    taken: dict[str, list[float]] = {name: [] for name in starts()}
    for turn in range(runs + 1):
        for name, (command, environment) in starts().items():
            once = seconds(command, environment)
            if turn:  # the first turn fills the caches
                taken[name].append(once)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    least = medians.pop(LEAST)
    print(f"{LEAST:28} {least * 1000:6.1f} ms")
    for name, median in medians.items():
        print(f"{name:28} {median * 1000:6.1f} ms   ratio {median / least:4.2f}   (bar: {BAR})")
    return int(max(medians.values()) / least > BAR)


if __name__ == "__main__":
    sys.exit(main())
