"""The hash that a listing gives of a file's content."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

SHA256: Final = "sha256"
"""Of files in LFS, and of every file on ModelScope."""

GIT_BLOB: Final = "git blob id"
"""Of files in Git itself: SHA-1 of "blob SIZE", a NUL and the bytes (gitformat-pack)."""

_FORMS: Final = {SHA256: re.compile(r"[0-9a-f]{64}"), GIT_BLOB: re.compile(r"[0-9a-f]{40}")}


@dataclass(frozen=True, slots=True)
class Digest:
    """A hash of a file's content.

    Attributes:
        kind: SHA256 or GIT_BLOB.
        value: In hexadecimal digits. It is part of a path in the Hub's cache.
    """

    kind: str
    value: str

    def of(self, pieces: Iterable[bytes], size: int) -> str:
        """The same kind of hash of other bytes, given in pieces.

        Args:
            pieces: The bytes.
            size: How many there are in all.
        """
        feed, result = self.begin(size)
        for piece in pieces:
            feed(piece)
        return result()

    def begin(self, size: int) -> tuple[Callable[[bytes | memoryview], None], Callable[[], str]]:
        """Begin to hash `size` bytes: what takes the pieces, and what gives the result."""
        import hashlib  # patch-config loads this room, and hashes nothing

        if self.kind == SHA256:
            state = hashlib.sha256()
        else:
            state = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        return state.update, state.hexdigest


def digest(kind: str, value: object) -> Digest | None:
    """A hash out of a listing; None for what is none: it comes from a server."""
    if isinstance(value, str) and _FORMS[kind].fullmatch(value):
        return Digest(kind, value)
    return None


def digest_of_tag(text: str) -> Digest | None:
    """The hash that the Hub gives as a file's ETag; None for what is neither kind."""
    return digest(SHA256, text) or digest(GIT_BLOB, text)
