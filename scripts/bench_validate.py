"""Hold `validate` against huggingface_hub's listing, on a Kimi-K2-Instruct of full scale.

    python scripts/bench_validate.py

Writes 61 sparse shards with 139,644 tensors and an index. The complete validation, with its
report as JSON, and `get_local_safetensors_metadata`, which only lists, each run in fresh
processes. Prints times, peak memory and ratios beside their bars; exit 1 if one is missed.
Needs Linux and a file system with sparse files.

    reading headers alone            ≤ 0.9 of the listing, peak ≤ 100 MiB
    complete validation              ≤ 0.9 of the listing, peak ≤ 100 MiB
    the same tensors, 1/50 of bytes  takes as long: ≥ 0.8 of the full one
    half the tensors                 takes about half: ≤ 0.65 of the full one
    a report that names nearly all   of the tensors, as the command's JSON: peak ≤ 100 MiB
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(__file__).parent
INSTRUCT = SCRIPTS.parent / "fixtures" / "configs" / "moonshotai--Kimi-K2-Instruct.json"
TENSORS = 139_644
TIME_RATIO = 0.9
PEAK_MIB = 100
FEWER_BYTES_RATIO = 0.8
FEWER_TENSORS_RATIO = 0.65
ROUNDS = 3
PROCESSES = 3

# Sizes at which the same tensors take a fiftieth of the bytes.
SMALL = {"hidden_size": 1024, "intermediate_size": 2048, "moe_intermediate_size": 256}
HALF = {"n_routed_experts": 192}

_MEASURE = """
import json, re, sys, time
from pathlib import Path
{load}
folder = Path(sys.argv[1])
seconds = []
for _ in range({rounds}):
    begin = time.perf_counter()
    tensors = {read}
    seconds.append(time.perf_counter() - begin)
# Not getrusage: its peak begins with what the parent process had.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps([min(seconds), peak, tensors]))
"""
_HEADERS = """
from k2compat.checkpoint import open_checkpoint
def count(folder):
    return sum(len(header.tensors) for header in open_checkpoint(folder).headers())
"""
_OURS = """
from k2compat.checkpoint import validate
def count(folder):
    validation = validate(folder)
    document = json.dumps([finding.as_dict() for finding in validation.report])
    assert not validation.report.has_errors, document
    return validation.tensors
"""
_DAMAGED = """
import os
from k2compat.cli.main import run
def count(folder):
    # Against a config of other sizes nearly every tensor has the wrong shape.
    stdout, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    status = run(["validate", str(folder), "--config", str(folder.parent / "small"), "--json"])
    os.dup2(stdout, 1)
    os.close(stdout)
    os.close(null)
    assert status == 1
    return 0
"""
_THEIRS = """
from huggingface_hub import get_local_safetensors_metadata
def count(folder):
    return len(get_local_safetensors_metadata(folder).weight_map)
"""


class Measured(NamedTuple):
    """Seconds of the best round, the process's peak in MiB, and how many tensors were seen."""

    seconds: float
    peak: float
    tensors: int


def write_checkpoint(folder: Path, changes: dict[str, int]) -> Path:
    """Write what Kimi-K2-Instruct's config, with these changes, describes."""
    config = {**json.loads(INSTRUCT.read_text(encoding="utf-8")), **changes}
    folder.mkdir()
    file = folder / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    command = [
        sys.executable,
        str(SCRIPTS / "make_checkpoint.py"),
        str(folder),
        "--config",
        str(file),
    ]
    subprocess.run(command, check=True)
    return folder


def measure(folder: Path, load: str) -> Measured:
    """The best round of one process."""
    program = _MEASURE.format(load=load, read="count(folder)", rounds=ROUNDS)
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], check=True, capture_output=True, text=True
    )
    return Measured(*json.loads(done.stdout))


def measure_all(jobs: list[tuple[Path, str]]) -> list[Measured]:
    """The best of several processes for each; they take turns, since machines are noisy."""
    results = [[measure(*job) for job in jobs] for _ in range(PROCESSES)]
    return [
        min(turns)._replace(peak=max(result.peak for result in turns))
        for turns in zip(*results, strict=True)
    ]


def main() -> int:
    """Run the comparison; the exit code."""
    with tempfile.TemporaryDirectory() as name:
        full = write_checkpoint(Path(name, "full"), {})
        fewer_bytes = write_checkpoint(Path(name, "small"), SMALL)
        fewer_tensors = write_checkpoint(Path(name, "half"), HALF)
        theirs, headers, ours, small, half, damaged = measure_all(
            [
                (full, _THEIRS),
                (full, _HEADERS),
                (full, _OURS),
                (fewer_bytes, _OURS),
                (fewer_tensors, _OURS),
                (full, _DAMAGED),
            ]
        )
    for what, result in {
        "get_local_safetensors_metadata": theirs,
        "headers alone": headers,
        "validate": ours,
        "validate, 1/50 of the bytes": small,
        "validate, half the tensors": half,
        "validate, all of other shapes": damaged,
    }.items():
        print(f"{what:32} {result.seconds * 1000:6.0f} ms  {result.peak:6.1f} MiB")
    if not theirs.tensors == headers.tensors == ours.tensors == small.tensors == TENSORS:
        raise SystemExit("the readers do not agree on the number of tensors")
    bars = (
        ("headers against the listing", headers.seconds / theirs.seconds, "≤", TIME_RATIO),
        ("validate against the listing", ours.seconds / theirs.seconds, "≤", TIME_RATIO),
        ("peak of validate, MiB", ours.peak, "≤", PEAK_MIB),
        ("peak of a long report, MiB", damaged.peak, "≤", PEAK_MIB),
        ("peak of headers, MiB", headers.peak, "≤", PEAK_MIB),
        ("fewer bytes against all", small.seconds / ours.seconds, "≥", FEWER_BYTES_RATIO),
        ("half the tensors against all", half.seconds / ours.seconds, "≤", FEWER_TENSORS_RATIO),
    )
    missed = 0
    for what, value, sign, bar in bars:
        holds = value <= bar if sign == "≤" else value >= bar
        missed += not holds
        print(f"{what:32} {value:6.2f}  (bar: {sign} {bar}){'' if holds else '  MISSED'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
