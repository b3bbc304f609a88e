"""Hold the GGUF header reader against `gguf.GGUFReader` on a vocabulary of Kimi-K2's size.

    python scripts/bench_gguf.py [--keep FILE]

Writes a GGUF with Kimi-K2's 1,096 tensors (by name and shape; their data are a hole in the
file), 163,840 tokens and 163,328 merges. Reads its header with both readers, and once more with
everything that validate does with it after that, each in a fresh process; prints times, peak
memory and ratios. Needs Linux and a file system with sparse files. Exit 1 if a bar is missed: at
least 50 times as fast, comparison included, and no more than 64 MiB for the whole process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from math import prod
from pathlib import Path

import numpy as np
from gguf import ExpertGatingFuncType, GGMLQuantizationType, GGUFWriter, RopeScalingType

import k2compat
from k2compat.checkpoint.companions import FAMILY_IDS
from k2compat.checkpoint.gguf_files.rules import (
    GgufLayout,
    config_sizes,
    deepseek2,
    expected_gguf_tensors,
)
from k2compat.samples.checkpoint import TEMPLATE

TOKENS = 163_840
MERGES = 163_328
TENSORS = 1_096
TIMES_FASTER = 50
PEAK_MIB = 64
ROUNDS = 5
HEAD_NOPE = 128
CONFIG = json.loads(
    (Path(k2compat.__file__).parent / "samples" / "kimi-k2-instruct.json").read_text()
)

_MEASURE = """
import json, re, sys, time
from pathlib import Path
{load}
path = Path(sys.argv[1])
seconds = []
for _ in range({rounds}):
    header = None  # no round pays for the one before
    begin = time.perf_counter()
    header = {read}
    seconds.append(time.perf_counter() - begin)
# Not getrusage: its peak begins with what the parent process had.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps([min(seconds), peak, len(header.tensors)]))
"""

_COMPARE = """
from k2compat.checkpoint.gguf_files.header import read_gguf
from k2compat.checkpoint.gguf_files.comparison import compare_gguf
from k2compat.checkpoint.engines.verdicts import Judged, engine_verdicts
def whole(path):
    header = read_gguf(path)
    headers = {str(path): header}
    findings = compare_gguf(headers).findings
    if findings or header.findings:
        raise SystemExit(f"the file is not sound: {[*header.findings, *findings][:3]}")
    list(engine_verdicts(Judged(str(path), "gguf", headers=headers)))
    return header
"""


def write_header(path: Path) -> None:
    """Write the GGUF of a Kimi-K2 in Q8_0: metadata, entries of tensors, and a hole for data."""
    sizes = {**config_sizes(CONFIG), "vocabulary": TOKENS, "head_nope": HEAD_NOPE}
    writer = GGUFWriter(path, "deepseek2")
    absorbed = {
        "head_key": sizes["kv_rank"] + sizes["rope"],
        "head_value": sizes["kv_rank"],
    }
    for size in deepseek2().sizes:
        if size.mla_key:
            writer.add_uint32(f"deepseek2.{size.mla_key}", sizes[size.name])
        number = absorbed.get(size.name, sizes.get(size.name, 0))
        writer.add_uint32(f"deepseek2.{size.key}", number)
    writer.add_head_count_kv(1)
    writer.add_context_length(131_072)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_expert_used_count(8)
    writer.add_expert_weights_scale(2.827)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("kimi-k2")
    writer.add_expert_gating_func(ExpertGatingFuncType.SIGMOID)
    writer.add_rope_freq_base(50_000.0)
    writer.add_rope_scaling_type(RopeScalingType.YARN)
    writer.add_rope_scaling_factor(32.0)
    writer.add_rope_scaling_orig_ctx_len(4096)
    writer.add_rope_scaling_yarn_log_mul(0.1)
    tokens = [f"token{number}" for number in range(TOKENS)]
    types = [1] * TOKENS
    for marker, number in FAMILY_IDS.items():
        tokens[number], types[number] = marker, 3
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_eos_token_id(FAMILY_IDS["<|im_end|>"])
    writer.add_chat_template(TEMPLATE)
    writer.add_token_merges([f"tok{number} en{number}" for number in range(MERGES)])
    end = 0
    for tensor in expected_gguf_tensors(sizes, GgufLayout(split_mla=True)):
        shape = tuple(size for size in tensor.dimensions[::-1] if size is not None)
        plain = bool(tensor.rule.types or tensor.rule.usual_types)
        data_type = GGMLQuantizationType.F32 if plain else GGMLQuantizationType.Q8_0
        length = prod(shape) * 4 if plain else prod(shape) // 32 * 34
        # Given bytes, the writer takes the shape in bytes, too.
        shape = shape if plain else (*shape[:-1], shape[-1] // 32 * 34)
        writer.add_tensor_info(
            tensor.name, shape, np.dtype("float32" if plain else "uint8"), length, data_type
        )
        end += length + -length % 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        start = file.seek(0, 2)
        file.truncate(start + -start % 32 + end)


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
    load = "from k2compat.checkpoint.gguf_files.header import read_gguf"
    ours, our_peak = measure(path, load, "read_gguf(path)", ROUNDS)
    whole, whole_peak = measure(path, _COMPARE, "whole(path)", ROUNDS)
    theirs, their_peak = measure(path, "from gguf import GGUFReader", "GGUFReader(path)", 1)
    faster = theirs / whole
    print(f"read_gguf     {ours * 1000:8.1f} ms  {our_peak:6.1f} MiB")
    print(f"  + comparison{whole * 1000:8.1f} ms  {whole_peak:6.1f} MiB")
    print(f"GGUFReader    {theirs * 1000:8.1f} ms  {their_peak:6.1f} MiB")
    print(f"{theirs / ours:.0f} times as fast, {faster:.0f} with the comparison ", end="")
    print(f"(bar: {TIMES_FASTER}), peak bar {PEAK_MIB} MiB")
    return int(faster < TIMES_FASTER or whole_peak > PEAK_MIB)


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
