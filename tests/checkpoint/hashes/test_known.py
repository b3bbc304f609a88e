"""What downloads by the real client leave, and what is made of it where it is damaged."""

import hashlib
from pathlib import Path

import huggingface_hub
import pytest

from k2compat.checkpoint.hashes.known import CACHE, DOWNLOAD, DOWNLOADS, hashes_on_disk
from k2compat.hub import GIT_BLOB, SHA256
from tests.support.hub_client import REPO, repo_files
from tests.support.hub_endpoint import LFS_SUFFIXES, Hub

FILES = repo_files()
SHARD = "model-1-of-3.safetensors"


def expected(relative: str) -> tuple[str, str]:
    content = FILES[relative]
    if relative.endswith(LFS_SUFFIXES):
        return SHA256, hashlib.sha256(content).hexdigest()
    blob = b"blob %d\0" % len(content) + content
    return GIT_BLOB, hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def test_a_snapshot_has_a_hash_of_every_file(hub: Hub, client: Path) -> None:
    commit = hub.commit(REPO, FILES)
    snapshot = Path(huggingface_hub.snapshot_download(REPO)).resolve()
    known = dict(hashes_on_disk(snapshot, FILES))
    assert {path: (one.digest.kind, one.digest.value) for path, one in known.items()} == {
        path: expected(path) for path in FILES
    }
    banner = known["figures/banner.png"]
    assert (banner.origin, banner.repo, banner.commit) == (CACHE, REPO, commit)
    assert (banner.path, banner.folder) == ("figures/banner.png", client.resolve())


def test_so_has_a_folder_that_was_downloaded_to(hub: Hub, client: Path, tmp_path: Path) -> None:
    commit = hub.commit(REPO, FILES)
    folder = tmp_path / "local"
    huggingface_hub.snapshot_download(REPO, local_dir=folder)
    known = dict(hashes_on_disk(folder, FILES))
    assert {path: (one.digest.kind, one.digest.value) for path, one in known.items()} == {
        path: expected(path) for path in FILES
    }
    assert (known[SHARD].origin, known[SHARD].commit, known[SHARD].repo) == (DOWNLOAD, commit, None)
    below = dict(hashes_on_disk(folder / "figures", ["banner.png"]))
    assert below["banner.png"] == known["figures/banner.png"]


def test_a_link_to_a_blob_from_elsewhere_has_its_hash(
    hub: Hub, client: Path, tmp_path: Path
) -> None:
    hub.commit(REPO, FILES)
    snapshot = Path(huggingface_hub.snapshot_download(REPO))
    link = tmp_path / "staged" / SHARD
    link.parent.mkdir()
    link.symlink_to((snapshot / SHARD).resolve())
    ((relative, known),) = hashes_on_disk(link.parent, [SHARD])
    assert (relative, known.digest.value) == (SHARD, expected(SHARD)[1])
    assert (known.repo, known.path, known.commit) == (REPO, None, None)


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "c\n",
        f"{'a' * 40}\n{'b' * 64}\n",
        f"{'a' * 40}\n{'b' * 63}\n1.0\n",
        f"{'a' * 40}\n{'b' * 64}\nlong ago\n",
        f"main\n{'b' * 64}\n1.0\n",
        f"{'a' * 40}\n{'é' * 64}\n1.0\n",
    ],
)
def test_damaged_metadata_are_no_hash_and_stay_as_they_are(tmp_path: Path, metadata: str) -> None:
    place = tmp_path / DOWNLOADS / f"{SHARD}.metadata"
    place.parent.mkdir(parents=True)
    place.write_text(metadata)
    (tmp_path / SHARD).write_bytes(b"w")
    assert list(hashes_on_disk(tmp_path, [SHARD])) == []
    assert place.read_text() == metadata


@pytest.mark.parametrize(
    "place",
    [
        "models--org--name/blobs/config.json",
        f"models--org--name/blobs/below/{'a' * 64}",
        f"models/blobs/{'a' * 64}",
    ],
)
def test_only_a_blob_of_a_cache_is_named_by_its_hash(tmp_path: Path, place: str) -> None:
    blob = tmp_path / place
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"w")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "w").symlink_to(blob)
    assert list(hashes_on_disk(tmp_path / "folder", ["w"])) == []


def test_an_entry_without_an_owner_has_no_repo_s_name(tmp_path: Path) -> None:
    blob = tmp_path / "models--gpt2" / "blobs" / ("a" * 64)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"w")
    ((_, known),) = hashes_on_disk(blob.parent, [blob.name])
    assert (known.repo, known.commit) == (None, None)


def test_a_dangling_link_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "w").symlink_to(tmp_path / "nothing")
    assert list(hashes_on_disk(tmp_path, ["w"])) == []
