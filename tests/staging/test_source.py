"""The files of a model that are to be staged, and what is refused."""

import os
from pathlib import Path

import pytest

from k2compat.errors import RefusedError
from k2compat.staging import source as source_module
from k2compat.staging.source import naming, read_source
from tests.support.models import STAGED


def refusal(model: Path, *, follow_links: bool = False) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        read_source(model, follow_links=follow_links)
    return caught.value


def test_everything_but_the_weights_is_taken(model: Path) -> None:
    source = read_source(model)
    assert tuple(file.relative for file in source.files) == STAGED
    assert {file.reason.code for file in source.skipped} == {"left-out-weights"}
    assert len(source.skipped) == 3
    assert all(file.size == (model / file.relative).stat().st_size for file in source.files)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("pytorch_model.bin", "left-out-other-weights"),
        ("consolidated.00.PTH", "left-out-other-weights"),
        ("imatrix.gguf", "left-out-other-weights"),
        ("model-3-of-61.safetensors.incomplete", "left-out-unfinished"),
        ("model-4-of-61.safetensors.aria2", "left-out-unfinished"),
        (".k2compat-0123abcd", "left-out-bookkeeping"),
    ],
)
def test_what_is_no_companion_is_left_out_and_named(model: Path, name: str, code: str) -> None:
    (model / name).write_bytes(b"x")
    skipped = {file.relative: file.reason.code for file in read_source(model).skipped}
    assert skipped[name] == code


@pytest.mark.parametrize("name", [".git", ".cache"])
def test_bookkeeping_folders_are_not_entered(model: Path, name: str) -> None:
    (model / name).mkdir()
    os.mkfifo(model / name / "fifo")
    skipped = {file.relative: file.size for file in read_source(model).skipped}
    assert skipped[name] == 0


def test_files_can_be_excluded_by_name_and_by_path(model: Path) -> None:
    source = read_source(model, exclude=("README.md", "docs/*"))
    assert not {"README.md", "docs/deploy_guidance.md"} & {f.relative for f in source.files}
    assert {f.relative for f in source.skipped if f.reason.code == "left-out-excluded"} == {
        "README.md",
        "docs/deploy_guidance.md",
    }


def test_links_inside_the_model_are_followed(model: Path) -> None:
    (model / "LICENSE").symlink_to("README.md")
    (model / "documents").symlink_to("docs")
    files = {file.relative: file.path for file in read_source(model).files}
    assert files["LICENSE"] == model / "README.md"
    assert files["documents/deploy_guidance.md"] == model / "docs" / "deploy_guidance.md"


def test_a_link_out_of_the_model_needs_consent(model: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    (model / "LICENSE").symlink_to(secret)
    error = refusal(model)
    assert error.code == "link-outside"
    assert "LICENSE" in error.message
    assert "--follow-links" in error.hint
    files = {file.relative: file.path for file in read_source(model, follow_links=True).files}
    assert files["LICENSE"] == secret


def test_a_dangling_link_is_refused_even_with_consent(model: Path) -> None:
    (model / "LICENSE").symlink_to("nowhere")
    assert refusal(model, follow_links=True).code == "link-outside"


@pytest.mark.parametrize("destination", ["nowhere", "model-9-of-9.safetensors"])
def test_a_weight_that_leads_nowhere_is_no_matter(model: Path, destination: str) -> None:
    (model / "model-9-of-9.safetensors").symlink_to(destination)
    assert {file.relative: file.size for file in read_source(model).skipped}[
        "model-9-of-9.safetensors"
    ] == 0


def test_links_to_a_folder_around_them_are_a_cycle(model: Path) -> None:
    (model / "docs" / "up").symlink_to("..")
    assert refusal(model).code == "link-cycle"


def test_a_link_to_itself_is_a_cycle(model: Path) -> None:
    (model / "LICENSE").symlink_to("LICENSE")
    assert refusal(model).code == "link-cycle"


def test_two_links_to_each_other_are_a_cycle(model: Path) -> None:
    (model / "a").symlink_to("b")
    (model / "b").symlink_to("a")
    error = refusal(model)
    assert error.code == "link-cycle"
    assert "a, b" in error.message


def test_links_that_fan_out_are_bounded(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "MAXIMUM_FILES", 50)
    for level in range(6):
        (model / f"level{level}").mkdir()
        (model / f"level{level}" / "file").write_text("x")
        if level:
            for link in ("left", "right"):
                (model / f"level{level}" / link).symlink_to(f"../level{level - 1}")
    assert refusal(model).code == "too-many-files"


def test_a_fifo_does_not_hang(model: Path) -> None:
    os.mkfifo(model / "LICENSE")
    error = refusal(model)
    assert error.code == "special-file"
    assert "LICENSE" in error.message


def test_lfs_pointers_are_named_all_at_once(model: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2795286\n"
    for name in ("tiktoken.model", "figures.png"):
        (model / name).write_bytes(pointer)
    error = refusal(model)
    assert error.code == "lfs-pointer"
    assert "figures.png, tiktoken.model" in error.message


def test_a_folder_without_config_is_no_model(model: Path) -> None:
    (model / "config.json").unlink()
    assert refusal(model).code == "config-missing"


def test_a_file_is_no_folder(model: Path) -> None:
    assert refusal(model / "config.json").code == "not-a-folder"


def test_a_folder_that_is_a_link_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(tmp_path / "loop").code == "not-readable"


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path / "模型")
    assert error.code == "not-found"
    assert "模型" in error.message


class TestHubCache:
    """Every file of a snapshot is a link into its entry's blobs."""

    @pytest.fixture
    def snapshot(self, tmp_path: Path) -> Path:
        return self.entry(tmp_path / "hub" / "models--moonshotai--Kimi-K2-Instruct")

    def entry(self, folder: Path) -> Path:
        blobs, snapshot = folder / "blobs", folder / "snapshots" / "0123"
        blobs.mkdir(parents=True)
        snapshot.mkdir(parents=True)
        for number, name in enumerate(("config.json", "tiktoken.model")):
            (blobs / f"hash{number}").write_text("{}")
            (snapshot / name).symlink_to(f"../../blobs/hash{number}")
        return snapshot

    def test_a_snapshot_is_taken(self, snapshot: Path) -> None:
        files = {file.relative: file.path for file in read_source(snapshot).files}
        assert files["config.json"] == snapshot.parents[1] / "blobs" / "hash0"

    def test_so_is_an_overlay_of_one(self, snapshot: Path, tmp_path: Path) -> None:
        overlay = tmp_path / "overlay"
        overlay.mkdir()
        (overlay / "config.json").write_text("{}")
        (overlay / "tiktoken.model").symlink_to(snapshot / "tiktoken.model")
        assert len(read_source(overlay).files) == 2

    def test_another_entry_is_outside(self, snapshot: Path, tmp_path: Path) -> None:
        other = self.entry(tmp_path / "hub" / "models--owner--private")
        (snapshot / "LICENSE").symlink_to(other / "config.json")
        assert refusal(snapshot).code == "link-outside"

    def test_an_overlay_of_two_entries_is_outside(self, snapshot: Path, tmp_path: Path) -> None:
        other = self.entry(tmp_path / "hub" / "models--owner--private")
        overlay = tmp_path / "overlay"
        overlay.mkdir()
        (overlay / "config.json").symlink_to(snapshot / "config.json")
        (overlay / "tiktoken.model").symlink_to(other / "tiktoken.model")
        assert refusal(overlay).code == "link-outside"

    def test_what_is_no_blob_is_outside(self, snapshot: Path) -> None:
        refs = snapshot.parents[1] / "refs"
        refs.mkdir()
        (refs / "main").write_text("0123")
        (snapshot / "LICENSE").symlink_to(refs / "main")
        assert refusal(snapshot).code == "link-outside"


def test_long_lists_are_cut() -> None:
    assert naming(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert naming(["a", "b"], most=2) == "a, b"
