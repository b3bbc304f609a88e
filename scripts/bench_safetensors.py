"""Hold the safetensors header reader against huggingface_hub's on a Kimi-K2 of full scale.

    python scripts/bench_safetensors.py

Writes 61 sparse shards with 139,644 tensors and an index, reads every header with
both, each in a fresh process, and prints times, peak memory and their ratio. Needs
Linux and a file system with sparse files. Exit 1 if the bar is missed: no more than
0.9 times the time, for readers that find nothing wrong, and 100 MiB.
"""

import json
import subprocess
import sys
import tempfile
from math import prod
from pathlib import Path

SHARDS = 61
TENSORS = 139_644
TIME_RATIO = 0.9
PEAK_MIB = 100
ROUNDS = 5

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
_OURS = """
from k2compat.checkpoint.safetensors_header import read_safetensors
def count(path):
    header = read_safetensors(path)
    assert not header.findings, header.findings
    return len(header.tensors)
"""
_THEIRS = "from huggingface_hub import get_local_safetensors_metadata"


def write_checkpoint(folder: Path) -> None:
    """Write shards as the genuine ones are: FP8 weights, each with its scales."""
    weight_map = {}
    for number in range(1, SHARDS + 1):
        name = f"model-{number}-of-{SHARDS}.safetensors"
        count = TENSORS // SHARDS + (number <= TENSORS % SHARDS)
        weight_map.update(dict.fromkeys(_write_shard(folder / name, number - 1, count), name))
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _write_shard(path: Path, layer: int, count: int) -> list[str]:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for number in range(count):
        expert, kind = divmod(number, 6)
        projection = ("gate_proj", "up_proj", "down_proj")[kind // 2]
        dtype, shape, suffix, size = (
            ("F32", [16, 56], "weight_scale_inv", 4)
            if kind % 2
            else ("F8_E4M3", [2048, 7168], "weight", 1)
        )
        start, end = end, end + prod(shape) * size
        name = f"model.layers.{layer}.mlp.experts.{expert}.{projection}.{suffix}"
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    raw = json.dumps(header, separators=(",", ":")).encode()
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + end)
    return [name for name in header if name != "__metadata__"]


def measure(folder: Path, load: str, read: str) -> tuple[float, float]:
    """Seconds of the best round, and the process's peak in MiB."""
    program = _MEASURE.format(load=load, read=read, rounds=ROUNDS)
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], check=True, capture_output=True, text=True
    )
    seconds, peak, tensors = json.loads(done.stdout)
    if tensors != TENSORS:
        raise SystemExit(f"read {tensors} tensors instead of {TENSORS}")
    return seconds, peak


def main() -> int:
    """Run the comparison; the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_checkpoint(folder)
        read = "sum(map(count, folder.glob('*.safetensors')))"
        ours, our_peak = measure(folder, _OURS, read)
        theirs, their_peak = measure(
            folder, _THEIRS, "len(get_local_safetensors_metadata(folder).weight_map)"
        )
    ratio = ours / theirs
    print(f"read_safetensors                {ours * 1000:6.0f} ms  {our_peak:6.1f} MiB")
    print(f"get_local_safetensors_metadata  {theirs * 1000:6.0f} ms  {their_peak:6.1f} MiB")
    print(f"{ratio:.2f} of the time (bar: {TIME_RATIO}), peak bar {PEAK_MIB} MiB")
    return int(ratio > TIME_RATIO or our_peak > PEAK_MIB)


if __name__ == "__main__":
    sys.exit(main())
