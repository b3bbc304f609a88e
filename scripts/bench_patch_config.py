"""How long `k2compat patch-config` takes as a whole process.

    python scripts/bench_patch_config.py [RUNS]

Measured against `python -c "import click, json"`, the least that a command line in Python can
be; the two take turns, so that a busy machine slows both. Prints the median of each and their
ratio, and exits with 1 where the ratio is above the bar. The package is compiled before, as an
installer compiles it.
"""

import compileall
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

BAR = 2.0
RUNS = 40
CONFIG = Path(__file__).parents[1] / "fixtures/configs/moonshotai--Kimi-K2-Instruct.json"


def seconds(command: list[str]) -> float:
    """Run a command to its end."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> int:
    """Run both in turn and compare the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    least = [sys.executable, "-c", "import click, json"]
    program = str(Path(sys.executable).with_name("k2compat"))
    ours, theirs = [], []
    compileall.compile_dir(Path(__file__).parents[1] / "k2compat", quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_bytes(CONFIG.read_bytes())
        # There and back: every run writes.
        targets = cycle(["deepseek_v3", "kimi_k2"])
        seconds(least)
        seconds([program, "--version"])
        for _ in range(runs):
            theirs.append(seconds(least))
            ours.append(seconds([program, "patch-config", folder, "--to", next(targets)]))
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"import click, json     {statistics.median(theirs) * 1000:6.1f} ms")
    print(f"k2compat patch-config  {statistics.median(ours) * 1000:6.1f} ms")
    print(f"ratio                  {ratio:6.2f}    (bar: {BAR})")
    return int(ratio > BAR)


if __name__ == "__main__":
    sys.exit(main())
