"""tiktoken.model: each line a token in base64 and its rank."""

from pathlib import Path

import pytest

from k2compat.checkpoint.companions import token_ranks
from k2compat.checkpoint.companions.token_ranks import check_ranks
from k2compat.checkpoint.sources.source import open_file

SOUND = b"".join(b"QUJD %d\n" % rank for rank in range(120))


def places(folder: Path, content: bytes) -> list[str]:
    path = folder / "tiktoken.model"
    path.write_bytes(content)
    with open_file(path) as file:
        return [finding.where.removeprefix(f"{path}: ") for finding in check_ranks(file)]


@pytest.mark.parametrize(
    "content",
    [
        SOUND,
        SOUND.rstrip(),
        SOUND.replace(b"\n", b"\r\n"),
        SOUND + b"\n",
        b"IQ== 0\nIg== 5\nIw== 900\n",  # ranks with gaps
    ],
)
def test_a_sound_one(tmp_path: Path, content: bytes) -> None:
    assert places(tmp_path, content) == []


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_last_line_that_was_cut(tmp_path: Path, cut: int) -> None:
    assert places(tmp_path, SOUND.rstrip()[:-cut]) == ["line 120"]


def test_what_is_no_vocabulary_is_named_once(tmp_path: Path) -> None:
    assert places(tmp_path, SOUND + b"\x00\xff\n!!\n") == ["line 121"]


def test_one_of_no_size_that_a_tokenizer_has_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_ranks, "RANKS_BYTES_MAX", 3)
    assert places(tmp_path, b"damaged") == [str(tmp_path / "tiktoken.model")]
