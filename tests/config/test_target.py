"""Which file a person means, and whether it may be written in place."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from k2compat.config import find_target, owner_findings
from k2compat.errors import RefusedError
from tests.support.configs import KIMI
from tests.support.hub_cache import hub_snapshot


def refusal(model: Path) -> RefusedError:
    """The refusal of finding, reading or writing, whichever comes first."""

    def attempt() -> None:
        target = find_target(model)
        target.read()
        target.refuse_write()

    with pytest.raises(RefusedError) as caught:
        attempt()
    assert caught.value.hint
    return caught.value


def test_a_folder_and_its_config_are_the_same(model: Path) -> None:
    for named in (model, model / "config.json"):
        target = find_target(named)
        assert target.path == model / "config.json"
        assert target.folder == model
        assert target.read() == KIMI
        target.refuse_write()


def test_a_closed_folder_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "lstat", closed)  # root may read every folder
    refused = refusal(model)
    assert refused.code == "not-readable"
    assert "config.json" in refused.message


def test_a_folder_is_found_through_a_link(model: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(model)
    target = find_target(tmp_path / "link")
    assert target.folder == model
    target.refuse_write()


def test_what_is_not_there_is_told(model: Path) -> None:
    assert refusal(model / "absent").code == "not-found"
    (model / "config.json").unlink()
    assert refusal(model).code == "config-missing"
    (model / "config.json").symlink_to("nowhere")
    assert refusal(model).code == "not-found"


@pytest.mark.parametrize("kind", ["folder", "fifo", "socket", "device", "loop"])
def test_what_is_no_file_is_refused_and_nothing_hangs(model: Path, kind: str) -> None:
    config = model / "config.json"
    config.unlink()
    if kind == "folder":
        config.mkdir()
    elif kind == "fifo":
        os.mkfifo(config)
    elif kind == "socket":
        os.mknod(config, 0o140600)
    elif kind == "device":
        config.symlink_to("/dev/zero")
    else:
        config.symlink_to("config.json")
    assert refusal(model).code == "not-readable"


def test_a_link_is_not_written_through(model: Path, tmp_path: Path) -> None:
    real = (model / "config.json").rename(tmp_path / "real.json")
    (model / "config.json").symlink_to(real)
    error = refusal(model)
    assert error.code == "config-is-link"
    assert str(real) in error.message
    assert "--overlay" in error.hint


def test_a_hub_cache_is_not_written_to(tmp_path: Path) -> None:
    snapshot = hub_snapshot(tmp_path / "hub")
    blob = (snapshot / "config.json").resolve()
    (tmp_path / "link").symlink_to(snapshot)
    for named in (snapshot, snapshot / "config.json", blob, tmp_path / "link"):
        error = refusal(named)
        assert error.code == "config-in-hub-cache"
        assert "--overlay" in error.hint


def test_a_hub_cache_without_links_is_not_written_to_either(tmp_path: Path) -> None:
    snapshot = hub_snapshot(tmp_path / "hub")
    config = snapshot / "config.json"
    data = config.read_bytes()
    config.unlink()
    config.write_bytes(data)
    assert refusal(snapshot).code == "config-in-hub-cache"


def test_a_link_into_a_hub_cache_is_told_as_such(tmp_path: Path, model: Path) -> None:
    blob = (hub_snapshot(tmp_path / "hub") / "config.json").resolve()
    (model / "config.json").unlink()
    (model / "config.json").symlink_to(blob)
    assert refusal(model).code == "config-in-hub-cache"


def test_an_entry_of_the_cache_is_no_model_but_has_some(tmp_path: Path) -> None:
    entry = hub_snapshot(tmp_path / "hub").parents[1]
    error = refusal(entry)
    assert error.code == "config-missing"
    assert str(entry / "snapshots") in error.hint


def test_an_owner_that_was_not_kept_is_a_finding(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_bytes(KIMI)
    target = find_target(config)
    assert owner_findings(target) == ()
    user, group = target.owner
    (finding,) = owner_findings(replace(target, owner=(user + 1, group)))
    assert finding.code == "config-owner-changed"
    assert finding.fix == f"chown {user + 1}:{group} {config}"
