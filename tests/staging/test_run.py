"""Staging as a whole: what becomes of each file, and what the folders hold afterwards."""

import os
import shlex
from pathlib import Path

import pytest

from k2compat.errors import RefusedError, WriteError
from k2compat.files import Prepared, workspace
from k2compat.staging import LinkMode, Staging, StagingAction, StagingRequest, stage
from tests.support.models import STAGED, tree


def actions(staging: Staging) -> dict[str, StagingAction]:
    return {file.relative: file.action for file in staging.plan.files}


def codes(staging: Staging) -> set[str]:
    return {finding.code for finding in staging.report}


def test_all_files_arrive_as_they_are(model: Path, ggufs: Path) -> None:
    before = tree(model)
    staging = stage(StagingRequest(model=model, gguf_folder=ggufs))
    assert actions(staging) == dict.fromkeys(STAGED, StagingAction.NEW)
    assert tree(model) == before
    after = tree(ggufs)
    assert {name: after[name] for name in STAGED} == {name: before[name] for name in STAGED}
    assert after.keys() == {*STAGED, "tiny.gguf"}
    assert not staging.report.has_errors


def test_a_second_run_finds_everything_the_same(model: Path, ggufs: Path) -> None:
    request = StagingRequest(model=model, gguf_folder=ggufs, patch_to="deepseek_v3")
    stage(request)
    before = written(ggufs)
    assert set(actions(stage(request)).values()) == {StagingAction.SAME}
    assert written(ggufs) == before


def written(folder: Path) -> dict[Path, tuple[int, int]]:
    """Each file's number and the time of its last change; reading moves neither."""
    status = {path: path.stat() for path in folder.rglob("*")}
    return {path: (each.st_ino, each.st_ctime_ns) for path, each in status.items()}


def test_a_plan_alone_writes_nothing(model: Path, ggufs: Path) -> None:
    before = tree(ggufs)
    staging = stage(StagingRequest(model=model, gguf_folder=ggufs), write=False)
    assert set(actions(staging).values()) == {StagingAction.NEW}
    assert tree(ggufs) == before


def test_a_plan_is_judged_as_if_it_were_carried_out(model: Path, ggufs: Path) -> None:
    request = StagingRequest(model=model, gguf_folder=ggufs)
    planned = codes(stage(request, write=False))
    assert planned == codes(stage(request)) - {"clone-unavailable"}


class TestDifferences:
    """A file that differs is a conflict: it stays, and the rest is staged."""

    @pytest.fixture(autouse=True)
    def _their_readme(self, ggufs: Path) -> None:
        (ggufs / "README.md").write_text("theirs")

    def test_theirs_stays(self, model: Path, ggufs: Path) -> None:
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs))
        assert actions(staging)["README.md"] is StagingAction.CONFLICT
        assert (ggufs / "README.md").read_text() == "theirs"
        assert (ggufs / "config.json").exists()
        (finding,) = (f for f in staging.report if f.code == "target-differs")
        assert finding.count == 1
        assert "--exclude README.md" in str(finding.fix)

    def test_ten_are_all_named_and_the_way_out_leaves_none(self, model: Path, ggufs: Path) -> None:
        names = [f"notes {number}.md" for number in range(10)]
        for name in names:
            (model / name).write_text("ours")
            (ggufs / name).write_text("theirs")
        (ggufs / "README.md").unlink()
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs))
        (finding,) = (f for f in staging.report if f.code == "target-differs")
        assert all(name in finding.message for name in names)
        words = shlex.split(str(finding.fix).partition(": ")[2].partition(". To take")[0])
        assert words[::2] == ["--exclude"] * 10
        again = stage(StagingRequest(model=model, gguf_folder=ggufs, exclude=tuple(words[1::2])))
        assert not again.report.has_errors

    def test_force_replaces_it(self, model: Path, ggufs: Path) -> None:
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs, force=True))
        assert actions(staging)["README.md"] is StagingAction.REPLACED
        assert (ggufs / "README.md").read_bytes() == (model / "README.md").read_bytes()

    def test_exclude_leaves_it_out(self, model: Path, ggufs: Path) -> None:
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs, exclude=("README.md",)))
        assert "README.md" not in actions(staging)
        assert not staging.report.has_errors

    def test_of_the_same_size_is_noticed_too(self, model: Path, ggufs: Path) -> None:
        size = (model / "README.md").stat().st_size
        (ggufs / "README.md").write_bytes(b"x" * size)
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs), write=False)
        assert actions(staging)["README.md"] is StagingAction.CONFLICT

    def test_a_config_alone_is_told_how_to_go_on(self, model: Path, ggufs: Path) -> None:
        stage(StagingRequest(model=model, gguf_folder=ggufs, force=True, patch_to="deepseek_v3"))
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs))
        (finding,) = (f for f in staging.report if f.code == "target-differs")
        assert "--patch-to" in str(finding.fix)


class TestObstacles:
    """What stands in the way and is not a plain file is never removed, not even by force."""

    def stage_by_force(self, model: Path, ggufs: Path) -> Staging:
        return stage(StagingRequest(model=model, gguf_folder=ggufs, force=True))

    def assert_blocked(self, staging: Staging, name: str) -> None:
        assert actions(staging)[name] is StagingAction.CONFLICT
        assert "target-blocked" in codes(staging)

    def test_a_folder_of_that_name(self, model: Path, ggufs: Path) -> None:
        (ggufs / "README.md").mkdir()
        self.assert_blocked(self.stage_by_force(model, ggufs), "README.md")

    def test_a_fifo_of_that_name(self, model: Path, ggufs: Path) -> None:
        os.mkfifo(ggufs / "README.md")
        self.assert_blocked(self.stage_by_force(model, ggufs), "README.md")

    def test_a_linked_subfolder(self, model: Path, ggufs: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (ggufs / "docs").symlink_to(elsewhere)
        staging = self.stage_by_force(model, ggufs)
        self.assert_blocked(staging, "docs/deploy_guidance.md")
        assert list(elsewhere.iterdir()) == []
        assert "ktransformers-linked-folder" in codes(staging)

    def test_a_file_in_the_place_of_a_subfolder(self, model: Path, ggufs: Path) -> None:
        (ggufs / "docs").write_text("x")
        self.assert_blocked(self.stage_by_force(model, ggufs), "docs/deploy_guidance.md")


class TestLinksInTheTarget:
    """A link is judged by the bytes it leads to, and replaced, never written through."""

    def test_to_the_same_bytes_is_the_same(self, model: Path, ggufs: Path) -> None:
        (ggufs / "README.md").symlink_to(model / "README.md")
        assert (
            actions(stage(StagingRequest(model=model, gguf_folder=ggufs)))["README.md"]
            is StagingAction.SAME
        )

    @pytest.mark.parametrize("destination", ["other", "nowhere", "README.md", "."])
    def test_to_others_is_replaced(self, model: Path, ggufs: Path, destination: str) -> None:
        (ggufs / "other").write_text("other")
        (ggufs / "README.md").symlink_to(destination)
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs))
        assert actions(staging)["README.md"] is StagingAction.CONFLICT
        stage(StagingRequest(model=model, gguf_folder=ggufs, force=True))
        assert not (ggufs / "README.md").is_symlink()
        assert (ggufs / "other").read_text() == "other"


class TestPatching:
    """The staged config may get another model_type; the model's own stays."""

    def test_the_staged_config_is_patched(self, model: Path, ggufs: Path) -> None:
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs, patch_to="deepseek_v3"))
        patched = (ggufs / "config.json").read_bytes()
        assert patched == (model / "config.json").read_bytes().replace(b"kimi_k2", b"deepseek_v3")
        assert "patch-tokenizer-remote-code" in codes(staging)
        assert "patch-tool-call-ids" not in codes(staging)  # TensorRT-LLM reads no GGUF

    def test_a_nested_type_is_patched_afterwards(self, model: Path, ggufs: Path) -> None:
        (model / "config.json").write_text('{"model_type": "kimi_k25", "text_config": {}}')
        with pytest.raises(RefusedError) as caught:
            stage(StagingRequest(model=model, gguf_folder=ggufs, patch_to="deepseek_v3"))
        assert caught.value.code == "model-type-nested"
        assert "--at text_config" in caught.value.hint

    def test_other_refusals_come_as_they_are(self, model: Path, ggufs: Path) -> None:
        (model / "config.json").write_text("{")
        before = tree(ggufs)
        with pytest.raises(RefusedError, match="not JSON"):
            stage(StagingRequest(model=model, gguf_folder=ggufs, patch_to="deepseek_v3"))
        assert tree(ggufs) == before

    def test_without_a_config_there_is_nothing_to_patch(self, model: Path, ggufs: Path) -> None:
        request = StagingRequest(
            model=model, gguf_folder=ggufs, patch_to="deepseek_v3", exclude=("config.json",)
        )
        assert "companion-missing" in codes(stage(request))


class TestInto:
    """A folder of its own, with links to the GGUFs."""

    def test_the_gguf_folder_is_left_alone(self, model: Path, ggufs: Path, tmp_path: Path) -> None:
        before = tree(ggufs)
        new = tmp_path / "a" / "new"
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs, into=new))
        assert tree(ggufs) == before
        assert (new / "tiny.gguf").readlink() == ggufs / "tiny.gguf"
        assert tree(new).keys() == {*STAGED, "tiny.gguf"}
        assert not staging.report.has_errors
        assert set(
            actions(stage(StagingRequest(model=model, gguf_folder=ggufs, into=new))).values()
        ) == {StagingAction.SAME}

    def test_a_plan_does_not_make_it(self, model: Path, ggufs: Path, tmp_path: Path) -> None:
        request = StagingRequest(model=model, gguf_folder=ggufs, into=tmp_path / "new")
        staging = stage(request, write=False)
        assert actions(staging)["tiny.gguf"] is StagingAction.NEW
        assert not staging.report.has_errors
        assert not (tmp_path / "new").exists()

    def test_a_gguf_there_is_never_replaced(self, model: Path, ggufs: Path, tmp_path: Path) -> None:
        new = tmp_path / "new"
        new.mkdir()
        (new / "tiny.gguf").write_bytes(b"the only copy")
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs, into=new, force=True))
        assert actions(staging)["tiny.gguf"] is StagingAction.CONFLICT
        assert (new / "tiny.gguf").read_bytes() == b"the only copy"


class TestLinkModes:
    """How the bytes get there, and what happens where the file system cannot."""

    def test_hardlinks_share_the_file(self, model: Path, ggufs: Path) -> None:
        stage(StagingRequest(model=model, gguf_folder=ggufs, mode=LinkMode.HARDLINK))
        assert (ggufs / "README.md").samefile(model / "README.md")
        assert not (ggufs / "README.md").is_symlink()

    def test_but_a_patched_config_is_its_own(self, model: Path, ggufs: Path) -> None:
        stage(
            StagingRequest(
                model=model, gguf_folder=ggufs, mode=LinkMode.HARDLINK, patch_to="deepseek_v3"
            )
        )
        assert not (ggufs / "config.json").samefile(model / "config.json")

    def test_symlinks_lead_to_the_file(self, model: Path, ggufs: Path) -> None:
        stage(StagingRequest(model=model, gguf_folder=ggufs, mode=LinkMode.SYMLINK))
        assert (ggufs / "README.md").readlink() == model / "README.md"

    def test_copies_are_their_own(self, model: Path, ggufs: Path) -> None:
        stage(StagingRequest(model=model, gguf_folder=ggufs, mode=LinkMode.COPY))
        assert not (ggufs / "README.md").samefile(model / "README.md")

    @pytest.mark.parametrize(
        ("mode", "code"),
        [
            (LinkMode.AUTO, "clone-unavailable"),
            (LinkMode.CLONE, "link-unavailable"),
            (LinkMode.HARDLINK, "link-unavailable"),
            (LinkMode.SYMLINK, "link-unavailable"),
        ],
    )
    def test_what_the_file_system_cannot_do_is_a_copy(
        self,
        model: Path,
        ggufs: Path,
        mode: LinkMode,
        code: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def unable(*_: object) -> Prepared:
            raise workspace.UnsupportedLinkError

        for name in ("clone", "hardlink", "symlink"):
            monkeypatch.setattr(workspace.Workspace, name, unable)
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs, mode=mode))
        assert code in codes(staging)
        assert (ggufs / "README.md").read_bytes() == (model / "README.md").read_bytes()

    def test_clones_are_made_where_they_can_be(
        self, model: Path, ggufs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workspace.Workspace, "clone", workspace.Workspace.copy)
        staging = stage(StagingRequest(model=model, gguf_folder=ggufs, mode=LinkMode.CLONE))
        assert "link-unavailable" not in codes(staging)


def test_progress_counts_every_byte(model: Path, ggufs: Path) -> None:
    steps: list[int] = []
    staging = stage(StagingRequest(model=model, gguf_folder=ggufs), progress=steps.append)
    assert sum(steps) == sum(file.size for file in staging.plan.files)


def test_a_file_made_meanwhile_is_not_overwritten(
    model: Path, ggufs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def somebody_else(descriptor: int) -> None:
        (ggufs / "README.md").write_text("theirs")

    monkeypatch.setattr("k2compat.staging.apply.sync_file_system", somebody_else)
    with pytest.raises(RefusedError) as caught:
        stage(StagingRequest(model=model, gguf_folder=ggufs))
    assert caught.value.code == "changed-meanwhile"
    assert (ggufs / "README.md").read_text() == "theirs"


def test_an_unwritable_target_is_refused(
    model: Path, ggufs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: object, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "mkdir", refused)
    with pytest.raises(WriteError) as caught:
        stage(StagingRequest(model=model, gguf_folder=ggufs))
    assert caught.value.code == "not-writable"
    assert str(ggufs) in caught.value.message
