"""A GGUF that is cut off inside its header: one finding about it, and none that follows from it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from k2compat.checkpoint.gguf_files.comparison import compare_gguf
from k2compat.checkpoint.gguf_files.header import GgufHeader, parse_gguf, read_gguf

TENSORS = 5


def write(path: Path, split_max_tensors: int) -> list[Path]:
    """Files of the official writer, whose keys of the set come after the vocabulary."""
    writer = GGUFWriter(path, "deepseek2", split_max_tensors=split_max_tensors)
    writer.add_name("Kimi K2")
    writer.add_array("tokenizer.ggml.tokens", [f"t{number}" for number in range(20)])
    for number in range(TENSORS):
        writer.add_tensor(f"blk.{number}.attn_norm.weight", np.ones(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(path.parent.iterdir())


def parsed(path: Path, data: bytes) -> GgufHeader:
    header = parse_gguf(data, path=str(path), file_size=len(data))
    assert header is not None
    return header


@pytest.mark.parametrize("split_max_tensors", [0, 2])
def test_every_cut_inside_the_header_is_one_finding(tmp_path: Path, split_max_tensors: int) -> None:
    paths = write(tmp_path / "K2.gguf", split_max_tensors)
    headers = {str(path): read_gguf(path) for path in paths}
    assert not any(header.findings for header in headers.values())
    whole = {finding.code for finding in compare_gguf(headers).findings}
    for path in paths:
        data = path.read_bytes()
        end = headers[str(path)].data_offset
        for length in range(end - 32):  # the last bytes may be padding
            cut = parsed(path, data[:length])
            codes = {finding.code for finding in cut.findings}
            assert codes <= {"gguf-header-truncated"}, length
            if length < 16 or not cut.has_all_keys:
                assert codes, length
            further = compare_gguf({**headers, str(path): cut}).findings
            assert {finding.code for finding in further} <= whole, length


def test_the_message_says_what_happened(tmp_path: Path) -> None:
    path = write(tmp_path / "K2.gguf", 2)[0]
    (finding,) = parsed(path, path.read_bytes()[:300]).findings
    assert "is cut off" in finding.message


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:8] + (1 << 40).to_bytes(8, "little") + data[16:],
        lambda data: data[:16] + (1 << 40).to_bytes(8, "little") + data[24:],
        lambda data: data[:24] + (1 << 40).to_bytes(8, "little") + data[32:],
    ],
)
def test_a_number_beyond_any_header_is_a_lie_and_no_cut(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    (path,) = write(tmp_path / "K2.gguf", 0)
    codes = [finding.code for finding in parsed(path, change(path.read_bytes())).findings]
    assert codes in (["gguf-count"], ["gguf-length"])
