"""Hold `validate --deep` against numpy, on a shard of Kimi-K2-Instruct at full scale.

    python scripts/bench_deep.py

Writes one sparse shard of 17 GB with 2,304 expert tensors, data where they are sampled. The
baseline looks at the same places through `numpy.memmap`: any byte that is not zero, any NaN.
Prints times, their ratio and the share that was read beside their bars; exit 1 if one is
missed. Needs a file system with sparse files.

    samples           ≤ 1.0 of numpy at the same places
    bytes read        ≤ 0.5 % of those stored
    an eighth of the bytes in as many tensors takes as long: ≥ 0.7 of the full one
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from k2compat.checkpoint.sampling.samples import LOCAL, Sample, SampledTensor, sample_tensors
from k2compat.checkpoint.sources.source import open_file

TENSORS = 1152
WEIGHT_BYTES = 2048 * 7168
SCALE_BYTES = 16 * 56 * 4
HEADER_BYTES = 290_000
SOUND = b"\x3c"
TIME_RATIO = 1.0
SHARE = 0.005
FEWER_BYTES_RATIO = 0.7
ROUNDS = 5


def layout(weight_bytes: int) -> list[SampledTensor]:
    """Experts' weights and their scales, one after the other."""
    tensors = []
    at = HEADER_BYTES
    for number in range(TENSORS):
        for suffix, dtype, size in (
            ("weight", "F8_E4M3", weight_bytes),
            ("weight_scale_inv", "F32", SCALE_BYTES),
        ):
            name = f"model.layers.1.mlp.experts.{number}.up_proj.{suffix}"
            tensors.append(SampledTensor(name, dtype, at, size))
            at += size
    return tensors


def places(tensor: SampledTensor) -> list[tuple[int, int]]:
    """Head, middle and tail, as `sampling` chooses them."""
    length = LOCAL.place_bytes
    if tensor.size <= LOCAL.places * length:
        return [(tensor.start, tensor.start + tensor.size)]
    free = tensor.size - length
    starts = [tensor.start + free * place // 2 for place in range(3)]
    return [(start, start + length) for start in starts]


def write(path: Path, tensors: list[SampledTensor]) -> None:
    """A sparse file with data at the places."""
    with path.open("wb") as file:
        for tensor in tensors:
            for start, end in places(tensor):
                file.seek(start)
                file.write(SOUND * (end - start))


def with_numpy(path: Path, tensors: list[SampledTensor]) -> int:
    """Damaged places."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    damaged = 0
    for tensor in tensors:
        for start, end in places(tensor):
            place = data[start:end]
            if tensor.dtype == "F32":
                sound = np.isfinite(np.frombuffer(place.tobytes(), dtype="<f4")).all()
            else:
                sound = not ((place & 0x7F) == 0x7F).any()
            damaged += not sound or not place.any()
    return damaged


def ours(path: Path, tensors: list[SampledTensor]) -> Sample:
    """The sample."""
    with open_file(path) as file:
        return sample_tensors(file, tensors)


def fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of several rounds."""
    seconds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def main() -> int:
    """Measure and print; 1 if a bar is missed."""
    with tempfile.TemporaryDirectory() as folder:
        full, small = layout(WEIGHT_BYTES), layout(WEIGHT_BYTES // 8)
        paths = [Path(folder) / "full", Path(folder) / "small"]
        for path, tensors in zip(paths, (full, small), strict=True):
            write(path, tensors)
        sample = ours(paths[0], full)
        if sample.findings or with_numpy(paths[0], full):
            print("the sound shard is not sound", file=sys.stderr)
            return 1
        numpy = fastest(lambda: with_numpy(paths[0], full))
        sampled = fastest(lambda: ours(paths[0], full))
        fewer = fastest(lambda: ours(paths[1], small))
    share = sample.bytes_read / sample.bytes_stored
    print(f"numpy at the same places   {numpy:7.3f} s")
    print(f"samples                    {sampled:7.3f} s   {sampled / numpy:.2f} ≤ {TIME_RATIO}")
    print(
        f"an eighth of the bytes     {fewer:7.3f} s   {fewer / sampled:.2f} ≥ {FEWER_BYTES_RATIO}"
    )
    print(f"bytes read                 {share:7.2%}     ≤ {SHARE:.1%}")
    fast = sampled <= TIME_RATIO * numpy and fewer >= FEWER_BYTES_RATIO * sampled
    return 0 if fast and share <= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
