"""A file of a repo is given out as a whole, or its last part never comes."""

import hashlib
from pathlib import Path

import pytest

from k2compat.errors import HubError
from k2compat.hub import HubRepo, RemoteFile, RemoteRepo, remote_file
from k2compat.hub.digests import GIT_BLOB, SHA256, Digest, digest

CONTENT = bytes(range(250)) * 10
SIZE = len(CONTENT)
SHA = hashlib.sha256(CONTENT).hexdigest()
BLOB = hashlib.sha1(b"blob %d\0" % SIZE + CONTENT, usedforsecurity=False).hexdigest()


class Repo(RemoteRepo):
    """A repo without a network."""

    def __init__(self, content: bytes, size: int = SIZE) -> None:
        super().__init__(HubRepo("org/model"), "main", {"a": size})
        self._held = content

    def cached(self, digest: Digest) -> Path | None:
        return None

    def read(self, path: str, start: int, length: int) -> bytes:
        return self._held[start : start + length]


@pytest.fixture(autouse=True)
def small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "_REQUEST_BYTES", 1000)


@pytest.mark.parametrize("known", [Digest(SHA256, SHA), Digest(GIT_BLOB, BLOB)])
def test_the_parts_are_the_bytes(known: Digest) -> None:
    file = RemoteFile(Repo(CONTENT), "a", known)
    assert b"".join(file.pieces()) == CONTENT
    assert file.content() == CONTENT
    assert list(file.pieces()) == [CONTENT]


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", b"x" + CONTENT[1:], CONTENT[:-1], b""])
@pytest.mark.parametrize("known", [Digest(SHA256, SHA), Digest(GIT_BLOB, BLOB)])
def test_other_bytes_never_come_to_their_end(known: Digest, content: bytes) -> None:
    received: list[bytes] = []
    with pytest.raises(HubError) as caught:
        received.extend(RemoteFile(Repo(content), "a", known).pieces())
    assert caught.value.code == "hub-content-differs"
    assert len(b"".join(received)) < SIZE


def test_an_absurd_size_is_not_read_into_memory() -> None:
    repo = Repo(CONTENT, remote_file.CONTENT_BYTES_MAX + 1)
    with pytest.raises(HubError) as caught:
        RemoteFile(repo, "a", Digest(SHA256, SHA)).content()
    assert caught.value.code == "hub-file-too-large"


def test_the_same_bytes_on_this_machine_are_known(tmp_path: Path) -> None:
    file = RemoteFile(Repo(CONTENT), "a", Digest(SHA256, SHA))
    path = tmp_path / "a"
    assert not file.is_in(path)
    for content, same in ((CONTENT, True), (CONTENT[::-1], False), (CONTENT[:-1], False)):
        path.write_bytes(content)
        assert file.is_in(path) is same


@pytest.mark.parametrize("value", [None, 1, "", "../../evil", SHA.upper(), SHA[1:], f"{SHA}\n"])
def test_a_hash_out_of_a_listing_is_digits_alone(value: object) -> None:
    assert digest(SHA256, value) is None
    assert digest(SHA256, SHA) == Digest(SHA256, SHA)
