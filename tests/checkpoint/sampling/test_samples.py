"""Samples of the data: what is found, where is looked, and what that costs."""

import errno
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k2compat.checkpoint.gguf_files.header import read_gguf
from k2compat.checkpoint.safetensors_files.header import read_safetensors
from k2compat.checkpoint.sampling.samples import (
    FAILURES_MAX,
    LOCAL,
    MERGED_BYTES_MAX,
    Budget,
    Sample,
    SampledTensor,
    sample_tensors,
)
from k2compat.checkpoint.sources.source import open_file, refused
from k2compat.findings import Severity
from k2compat.printable import counted
from k2compat.samples import checkpoint_files, write_gguf

SOUND = 0x3C  # no NaN, no sign, no zero in any dtype
MB = 1 << 20


class Memory:
    """A file in memory that notes what was read, and fails where told."""

    path = "weights"

    def __init__(self, data: bytes, bad: range = range(0)) -> None:
        self.data = data
        self.size = len(data)
        self.reads: list[tuple[int, int]] = []
        self._bad = bad

    def read(self, start: int, length: int) -> bytes:
        self.reads.append((start, start + length))
        if start < self._bad.stop and self._bad.start < start + length:
            raise refused(self.path, "file-unreadable", "cannot be read")
        return self.data[start : start + length]


def layout(*sizes: int, dtype: str = "F8_E4M3", first: int = 100) -> list[SampledTensor]:
    tensors = []
    for number, size in enumerate(sizes):
        tensors.append(SampledTensor(f"layers.{number}.w.weight", dtype, first, size))
        first += size
    return tensors


def filled(tensors: Sequence[SampledTensor]) -> bytearray:
    return bytearray([SOUND]) * (tensors[-1].start + tensors[-1].size)


def sample(
    tensors: Sequence[SampledTensor], data: bytes | bytearray, budget: Budget = LOCAL
) -> Sample:
    return sample_tensors(Memory(bytes(data)), tensors, budget=budget)


def codes(tensors: Sequence[SampledTensor], data: bytes | bytearray) -> list[str]:
    return [finding.code for finding in sample(tensors, data).findings]


# Sound files


def test_the_samples_of_the_project_are_sound(tmp_path: Path) -> None:
    for name, body in checkpoint_files().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
    for path in tmp_path.glob("*.safetensors"):
        header = read_safetensors(path)
        tensors = [
            SampledTensor(
                tensor.name,
                tensor.dtype,
                header.data_start + tensor.start,
                tensor.end - tensor.start,
            )
            for tensor in header.tensors
        ]
        with open_file(path) as file:
            found = sample_tensors(file, tensors)
        assert (found.findings, found.tensors_read) == ((), len(tensors))


def test_a_gguf_of_the_project_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(path)
    header = read_gguf(path)
    tensors = [
        SampledTensor(tensor.name, tensor.type_name, tensor.start, tensor.end - tensor.start)
        for tensor in header.tensors
        if tensor.end is not None
    ]
    with open_file(path) as file:
        found = sample_tensors(file, tensors, byte_order=header.byte_order)
    assert (found.findings, found.tensors_read) == ((), len(header.tensors))


def test_nothing_to_look_at() -> None:
    assert sample([], b"") == Sample()
    # What the file does not hold, the header's findings are about.
    outside = [SampledTensor("a", "F32", 90, 20), SampledTensor("b", "F32", -4, 4)]
    empty = [SampledTensor("c", "F32", 0, 0)]
    assert sample([*outside, *empty], bytes(100)) == Sample()


# Zeros


# Before, at and behind the middle of what no place was sampled of.
@example(sizes=[40_000, 40_000], stop=30_000)
@example(sizes=[40_000, 40_000], stop=50_000)
@given(
    sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=8),
    stop=st.integers(100, 400_000),
)
def test_a_download_that_stopped_is_found_where_it_stopped(sizes: list[int], stop: int) -> None:
    tensors = layout(*sizes)
    body = filled(tensors)
    # So much that the last place, at most, is zero to its beginning.
    stop = min(stop, len(body) - min(sizes[-1], LOCAL.place_bytes))
    body[stop:] = bytes(len(body) - stop)
    (finding,) = sample(tensors, body).findings
    assert (finding.code, finding.severity) == ("data-zero-tail", Severity.ERROR)
    assert finding.where == f"weights: byte {stop}"
    assert finding.actual == f"{counted(len(body) - stop, 'byte')} of zeros"


def test_a_file_without_any_data_says_so() -> None:
    tensors = layout(MB, 3584, MB)
    found = sample(tensors, bytes(tensors[-1].start + MB))
    (finding,) = found.findings
    assert finding.message.startswith("all data are zero from byte 100 on")
    assert finding.count == 3


def test_a_piece_that_never_came_is_found() -> None:
    tensors = layout(*[10_000] * 6)
    body = filled(tensors)
    body[10_100:30_100] = bytes(20_000)
    (finding,) = sample(tensors, body).findings
    assert (finding.code, finding.severity) == ("data-zero", Severity.WARNING)
    assert finding.where == "weights: byte 10100"
    assert finding.count == 2
    assert "layers.1.w.weight, layers.2.w.weight" in finding.message
    # Around the border of two: no tensor is whole, but two places in a row are zero.
    body = filled(layout(*[50_000] * 6))
    body[90_000:110_000] = bytes(20_000)
    assert codes(layout(*[50_000] * 6), body) == ["data-zero"]


def test_a_single_place_of_zeros_is_nothing() -> None:
    tensors = layout(*[50_000] * 3)
    body = filled(tensors)
    body[50_000:55_000] = bytes(5000)
    assert codes(tensors, body) == []


def test_thousands_of_empty_tensors_are_one_finding() -> None:
    tensors = layout(*[8] * 5000)
    body = filled(tensors)
    for tensor in tensors[1:-1:2]:
        body[tensor.start : tensor.start + 8] = bytes(8)
    (finding,) = sample(tensors, body).findings
    assert finding.count == len(finding.items) == 2499
    assert finding.message.endswith(
        "layers.1.w.weight, layers.3.w.weight, layers.5.w.weight and 2,496 more"
    )


@pytest.mark.parametrize(
    "name", ["mlp.gate.e_score_correction_bias", "exp_probs_b.bias", "vision_tower.x.bias"]
)
def test_biases_may_be_zero(name: str) -> None:
    tensors = [SampledTensor(name, "F32", 8, 400), SampledTensor("w.weight", "F32", 408, 400)]
    assert codes(tensors, bytes(408) + bytes([SOUND]) * 400) == []
    swapped = [tensors[1]._replace(start=8), tensors[0]._replace(start=408)]
    assert codes(swapped, bytes([SOUND]) * 408 + bytes(400)) == []


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "lm_head.weight", "output.weight"])
def test_rows_of_tokens_that_no_text_has_may_be_zero(name: str) -> None:
    (tensor,) = layout(100_000, dtype="BF16")
    tensor = tensor._replace(name=name)
    body = filled([tensor])
    body[60_000:] = bytes(len(body) - 60_000)
    assert codes([tensor], body) == []
    body[100:] = bytes(len(body) - 100)
    assert codes([tensor], body) == ["data-zero-tail"]


# Numbers


def test_a_nan_in_a_scale_is_found_and_named() -> None:
    scales = struct.pack("<4f", 1.0, float("nan"), float("inf"), 2.0)
    tensors = [
        SampledTensor("a.weight", "F8_E4M3", 0, 64),
        SampledTensor("a.weight_scale_inv", "F32", 64, 16),
        SampledTensor("b.weight", "F8_E4M3", 80, 64),
    ]
    body = bytes([SOUND]) * 64 + scales + bytes([SOUND]) * 63 + b"\x7f"
    scale, weight = sample(tensors, body).findings
    assert {scale.code, weight.code} == {"data-not-finite"}
    assert (scale.where, scale.count) == ("weights: tensor a.weight_scale_inv", 1)
    assert scale.items == ("a.weight_scale_inv",)
    assert scale.message == ("2 NaN or infinite values of F32 were sampled in a.weight_scale_inv")
    assert weight.where == "weights: tensor b.weight"
    assert weight.severity is Severity.ERROR


@pytest.mark.parametrize("dtype", ["Q4_K", "Q6_K", "Q8_0"])
def test_blocks_of_ggufs_are_sampled_whole(dtype: str) -> None:
    from k2compat.checkpoint.sampling.float_layouts import LAYOUTS

    block, fields = LAYOUTS[dtype]
    tensors = layout(block * 1000, block * 3, dtype=dtype)
    body = filled(tensors)
    assert codes(tensors, body) == []
    last = tensors[0].start + 999 * block + fields[0].offset
    body[last : last + 2] = b"\x00\x7e"
    assert codes(tensors, body) == ["data-not-finite"]


def test_a_negative_scale_is_found_in_scales_alone() -> None:
    body = struct.pack("<4f", 1.0, -1.0, 2.0, 3.0)
    for name, expected in (
        ("a.weight_scale_inv", ["data-scale-negative"]),
        ("a.weight_scale", ["data-scale-negative"]),
        ("a.weight", []),
    ):
        assert codes([SampledTensor(name, "F32", 0, 16)], body) == expected
    assert codes([SampledTensor("a.weight_scale", "I32", 0, 16)], body) == []


# Where is looked, and what it costs


@given(
    sizes=st.lists(st.integers(1, 200_000), min_size=1, max_size=6),
    places=st.integers(2, 5),
    place_bytes=st.integers(1, 5000),
    reads=st.integers(2, 6),
    dtype=st.sampled_from(["F8_E4M3", "F32", "Q6_K", "I32"]),
)
def test_no_more_is_read_than_the_budget_says(
    sizes: list[int], places: int, place_bytes: int, reads: int, dtype: str
) -> None:
    tensors = layout(*sizes, dtype=dtype)
    budget = Budget(places, place_bytes, reads)
    file = Memory(bytes(filled(tensors)))
    steps: list[int] = []
    found = sample_tensors(file, tensors, budget=budget, progress=steps.append)
    assert found.findings == ()
    assert len(file.reads) <= reads
    assert found.bytes_read == sum(steps) == sum(end - start for start, end in file.reads)
    assert all(start < end <= file.size for start, end in file.reads)
    assert all(end - start <= max(MERGED_BYTES_MAX, place_bytes, 210) for start, end in file.reads)
    # The first bytes are always among them, and twice the same look is the same.
    assert file.reads[0][0] == tensors[0].start
    again = Memory(bytes(filled(tensors)))
    assert sample_tensors(again, tensors[::-1], budget=budget) == found
    assert again.reads == file.reads


def test_head_and_tail_of_each_tensor_are_read() -> None:
    tensors = layout(MB, 3584, MB)
    file = Memory(bytes(filled(tensors)))
    found = sample_tensors(file, tensors)
    assert (found.tensors_read, found.tensors) == (3, 3)
    for tensor in tensors:
        for at in (tensor.start, tensor.start + tensor.size - 1):
            assert any(start <= at < end for start, end in file.reads)
    # The tail of one, the scale and the head of the next are one read.
    assert len(file.reads) == 5


def test_the_share_is_said() -> None:
    one = Sample((), 10, 1000, 1, 2)
    both = one + Sample((), 5, 2000, 2, 2)
    assert both == Sample((), 15, 3000, 3, 4)
    assert both.words == (
        "2,985 of 3,000 bytes of data: 15 were sampled (0.5 %), in 3 of 4 tensors"
    )
    assert "0 were sampled (0 %)" in Sample().words


# What cannot be read


def test_a_bad_sector_is_a_finding_and_the_rest_is_looked_at() -> None:
    tensors = layout(*[100_000] * 5)
    body = filled(tensors)
    body[-1] = 0xFF
    file = Memory(bytes(body), bad=range(150_000, 151_000))
    found = sample_tensors(file, tensors)
    assert [finding.code for finding in found.findings] == ["data-not-finite", "file-unreadable"]
    assert found.tensors_read == 5


def test_a_dead_disk_is_not_asked_for_ever() -> None:
    tensors = layout(*[100_000] * 50)
    file = Memory(bytes(filled(tensors)), bad=range(10**9))
    found = sample_tensors(file, tensors)
    assert len(file.reads) == len(found.findings) == FAILURES_MAX
    assert (found.bytes_read, found.tensors_read, found.tensors) == (0, 0, 50)


def test_a_file_that_cannot_be_read_while_the_end_is_sought() -> None:
    tensors = layout(MB, MB)
    body = filled(tensors)
    body[300_000:] = bytes(len(body) - 300_000)
    found = sample_tensors(Memory(bytes(body), bad=range(250_000, 350_000)), tensors)
    assert [finding.code for finding in found.findings] == ["file-unreadable"]


def test_a_file_that_shrinks_meanwhile() -> None:
    tensors = layout(*[100_000] * 3)
    file = Memory(bytes(filled(tensors)))
    file.data = file.data[:150_000]
    found = sample_tensors(file, tensors)
    assert found.findings == ()
    assert found.tensors_read == 2


def test_an_error_of_the_system_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = layout(MB, MB, MB)
    path = tmp_path / "权重.safetensors"
    path.write_bytes(filled(tensors))
    read = os.pread

    def failing(descriptor: int, length: int, start: int) -> bytes:
        if MB < start < 2 * MB:
            raise OSError(errno.EIO, "x")
        return read(descriptor, length, start)

    monkeypatch.setattr(os, "pread", failing)
    with open_file(path) as file:
        found = sample_tensors(file, tensors)
    assert {finding.code for finding in found.findings} == {"file-unreadable"}
    assert "Input/output error" in found.findings[0].message
    assert found.tensors_read == 3


@given(
    tensors=st.lists(
        st.builds(
            SampledTensor,
            st.text(max_size=3),
            st.sampled_from(["F32", "Q4_K", "?", "F8_E4M3"]),
            st.integers(-5, 400),
            st.integers(-5, 400),
        ),
        max_size=8,
    ),
    data=st.binary(max_size=400),
)
def test_whatever_a_header_says_there_is_a_sample(
    tensors: list[SampledTensor], data: bytes
) -> None:
    found = sample_tensors(Memory(data), tensors, budget=Budget(2, 16, 4))
    assert found.tensors_read <= found.tensors <= len(tensors)
