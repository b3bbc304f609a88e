"""What makes a run pointless is found before the first byte; errors name file and operation."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import gguf
import pytest

from k2compat.errors import RefusedError, WriteError
from k2compat.samples import write_gguf
from k2compat.staging import LinkMode, StagingRequest, stage
from tests.support.models import make_ggufs, tree


def another_model(model: Path, ggufs: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "n_routed_experts": 384}))


def another_model_in_parts(model: Path, ggufs: Path) -> None:
    another_model(model, ggufs)
    (ggufs / "tiny.gguf").unlink()
    write_gguf(ggufs / "tiny.gguf", tensors_per_file=7)


def two_quantisations(model: Path, ggufs: Path) -> None:
    make_ggufs(ggufs, "tiny-Q2_K.gguf")


def another_architecture(model: Path, ggufs: Path) -> None:
    writer = gguf.GGUFWriter(ggufs / "tiny.gguf", "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


@pytest.mark.parametrize("into", [False, True])
@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (another_model, "ktransformers-other-model"),
        (another_model_in_parts, "ktransformers-other-model"),
        (two_quantisations, "gguf-split-mixed"),
        (another_architecture, "ktransformers-other-architecture"),
    ],
)
def test_nothing_is_written(
    model: Path,
    ggufs: Path,
    damage: Callable[[Path, Path], None],
    code: str,
    *,
    write: bool,
    into: bool,
) -> None:
    damage(model, ggufs)
    before = tree(ggufs.parent)
    request = StagingRequest(
        model=model, gguf_folder=ggufs, into=ggufs.parent / "new" if into else None
    )
    with pytest.raises(RefusedError) as caught:
        stage(request, write=write)
    assert caught.value.code == code
    assert "Nothing was staged in" in caught.value.message
    assert caught.value.hint
    assert tree(ggufs.parent) == before
    assert not (ggufs.parent / "new").exists()


@pytest.mark.parametrize("parts", [0, 7])
def test_sets_in_subfolders_are_named_with_their_folders(
    model: Path, ggufs: Path, parts: int
) -> None:
    """A projector in the folder itself, and two quantisations of one name below it."""
    (ggufs / "tiny.gguf").rename(ggufs / "mmproj-tiny.gguf")
    for quantisation in ("Q2_K", "Q4_K_M"):
        (ggufs / quantisation).mkdir()
        write_gguf(ggufs / quantisation / "tiny.gguf", tensors_per_file=parts)
    end = "-00001-of-" if parts else ".gguf"
    with pytest.raises(RefusedError) as caught:
        stage(StagingRequest(model=model, gguf_folder=ggufs))
    assert caught.value.code == "gguf-split-mixed"
    assert f"among them Q2_K/tiny{end}" in caught.value.message
    assert f" and Q4_K_M/tiny{end}" in caught.value.message
    assert caught.value.message.endswith(f"Nothing was staged in {ggufs}.")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (another_model, "ktransformers-other-model"),
        (another_architecture, "ktransformers-other-architecture"),
    ],
)
def test_a_file_in_a_subfolder_is_named_with_it(
    model: Path, ggufs: Path, damage: Callable[[Path, Path], None], code: str
) -> None:
    damage(model, ggufs)
    (ggufs / "Q2_K").mkdir()
    (ggufs / "tiny.gguf").rename(ggufs / "Q2_K" / "tiny.gguf")
    write_gguf(ggufs / "mmproj-tiny.gguf")
    with pytest.raises(RefusedError, match=r"Q2_K/tiny\.gguf is ") as caught:
        stage(StagingRequest(model=model, gguf_folder=ggufs))
    assert caught.value.code == code
    assert caught.value.message.endswith(f"Nothing was staged in {ggufs}.")


def test_a_model_s_own_config_in_the_target_counts_where_it_stays(model: Path, ggufs: Path) -> None:
    """Without --force the target's config is the one that KTransformers will read."""
    (ggufs / "config.json").write_bytes((model / "config.json").read_bytes() + b"\n")
    another_model(model, ggufs)
    staging = stage(StagingRequest(model=model, gguf_folder=ggufs))
    assert "target-differs" in {finding.code for finding in staging.report}
    with pytest.raises(RefusedError, match="another model"):
        stage(StagingRequest(model=model, gguf_folder=ggufs, force=True))


class TestSpace:
    """The size is compared with the disk's free space before the first byte is copied."""

    @pytest.fixture(autouse=True)
    def _small_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        left = SimpleNamespace(f_bavail=1, f_frsize=4096)
        monkeypatch.setattr(os, "fstatvfs", lambda descriptor: left)

    @pytest.mark.parametrize("mode", [LinkMode.COPY, LinkMode.AUTO, LinkMode.CLONE])
    def test_too_little(
        self, model: Path, ggufs: Path, mode: LinkMode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = tree(ggufs)
        written: list[int] = []
        monkeypatch.setattr(os, "copy_file_range", lambda *_: written.append(1))
        with pytest.raises(WriteError) as caught:
            stage(StagingRequest(model=model, gguf_folder=ggufs, mode=mode))
        assert caught.value.code == "no-space"
        size = sum(len(content) for name, content in tree(model).items() if "model-" not in name)
        assert f"needs {size:,} bytes" in caught.value.message
        assert "4,096 free" in caught.value.message
        assert tree(ggufs) == before
        assert written == []

    @pytest.mark.parametrize("into", ["new", "far/below/new"])
    def test_no_folder_is_left(self, model: Path, ggufs: Path, into: str) -> None:
        before = tree(ggufs.parent)
        folders = sorted(ggufs.parent.rglob("*"))
        target = ggufs.parent / into
        with pytest.raises(WriteError, match="nothing was written"):
            stage(StagingRequest(model=model, gguf_folder=ggufs, into=target, mode=LinkMode.COPY))
        assert tree(ggufs.parent) == before
        assert sorted(ggufs.parent.rglob("*")) == folders

    @pytest.mark.parametrize("mode", [LinkMode.HARDLINK, LinkMode.SYMLINK])
    def test_links_take_no_space(self, model: Path, ggufs: Path, mode: LinkMode) -> None:
        stage(StagingRequest(model=model, gguf_folder=ggufs, mode=mode))


@pytest.mark.parametrize("file", ["tiktoken.model", "config.json", "modeling_deepseek.py"])
@pytest.mark.parametrize("there", [False, True])
def test_an_unreadable_file_of_the_model_is_named(
    model: Path, ggufs: Path, file: str, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    if there:  # the same size: the bytes are compared
        (ggufs / file).write_bytes(bytes((model / file).stat().st_size))
    before = tree(ggufs)
    number = (model / file).stat().st_ino
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        descriptor = real(path, flags, mode, dir_fd=dir_fd)
        if os.fstat(descriptor).st_ino == number:
            os.close(descriptor)
            raise PermissionError(13, "Permission denied", str(path))
        return descriptor

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RefusedError) as caught:
        stage(StagingRequest(model=model, gguf_folder=ggufs, mode=LinkMode.COPY))
    assert caught.value.code == "not-readable"
    assert caught.value.message == f"{model / file} cannot be read: Permission denied."
    assert tree(ggufs) == before
