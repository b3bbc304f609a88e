"""Hold the GGUF header reader against `gguf.GGUFReader` on a vocabulary of Kimi-K2's size.

    python scripts/bench_gguf.py [--keep FILE]

Writes a GGUF with 163,840 tokens and 163,328 merges with the `gguf` package, reads
its header with both readers, each in a fresh process, and prints times, peak memory
and their ratio. Needs Linux. Exit 1 if a bar is missed: at least 50 times as fast, and no more
than 64 MiB for the whole process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

TOKENS = 163_840
MERGES = 163_328
TENSORS = 1_096
TIMES_FASTER = 50
PEAK_MIB = 64
ROUNDS = 5

_MEASURE = """
import json, re, sys, time
from pathlib import Path
{load}
path = Path(sys.argv[1])
seconds = []
for _ in range({rounds}):
    begin = time.perf_counter()
    header = {read}
    seconds.append(time.perf_counter() - begin)
# Not getrusage: its peak begins with what the parent process had.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps([min(seconds), peak, len(header.tensors)]))
"""


def write_header(path: Path) -> None:
    """Write a GGUF with the metadata of a Kimi-K2 and as many, but tiny, tensors."""
    writer = GGUFWriter(path, "deepseek2")
    writer.add_block_count(61)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{number}" for number in range(TOKENS)])
    writer.add_token_types([1] * TOKENS)
    writer.add_token_merges([f"tok{number} en{number}" for number in range(MERGES)])
    tensor = np.zeros((8, 32), dtype=np.float32)
    for number in range(TENSORS):
        writer.add_tensor(f"blk.{number // 18}.tensor{number % 18}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def measure(path: Path, load: str, read: str, rounds: int) -> tuple[float, float]:
    """Seconds of the best round, and the process's peak in MiB."""
    program = _MEASURE.format(load=load, read=read, rounds=rounds)
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
    )
    seconds, peak, tensors = json.loads(done.stdout)
    if tensors != TENSORS:
        raise SystemExit(f"read {tensors} tensors instead of {TENSORS}")
    return seconds, peak


def compare(path: Path) -> int:
    """Measure both readers and print the figures; the exit code."""
    load = "from k2compat.checkpoint.gguf import read_gguf"
    ours, our_peak = measure(path, load, "read_gguf(path)", ROUNDS)
    theirs, their_peak = measure(path, "from gguf import GGUFReader", "GGUFReader(path)", 1)
    faster = theirs / ours
    print(f"read_gguf   {ours * 1000:8.1f} ms  {our_peak:6.1f} MiB")
    print(f"GGUFReader  {theirs * 1000:8.1f} ms  {their_peak:6.1f} MiB")
    print(f"{faster:.0f} times as fast (bar: {TIMES_FASTER}), peak bar {PEAK_MIB} MiB")
    return int(faster < TIMES_FASTER or our_peak > PEAK_MIB)


def main() -> int:
    """Run the comparison on a file that is made for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="write the file here and leave it")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as folder:
        path = keep or Path(folder, "vocabulary.gguf")
        write_header(path)
        return compare(path)


if __name__ == "__main__":
    sys.exit(main())
