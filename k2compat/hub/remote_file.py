"""One small file of a remote repo: its content, checked against the listing's hash."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k2compat.errors import HubError
from k2compat.hub.digests import Digest
from k2compat.printable import counted
from k2compat.shell_line import shell_line

if TYPE_CHECKING:
    from k2compat.hub.ranges import RemoteRepo

CONTENT_BYTES_MAX: Final = 64 << 20
"""Of a file that is held in memory. A tokenizer of the family takes up to 20 MB."""

WITHOUT_MIRROR: Final = (
    "Set the endpoint to the Hub itself, without a mirror or proxy, and run the same command again."
)

_REQUEST_BYTES: Final = 8 << 20


class RemoteFile:
    """A file of a repo, fetched when it is asked for.

    Attributes:
        relative: Its path within the repo.
        size: Bytes.
        digest: The listing's hash of its content.
    """

    def __init__(self, repo: "RemoteRepo", relative: str, digest: Digest) -> None:
        """Take a file of a listed repo."""
        self.relative = relative
        self.size = repo.sizes[relative]
        self.digest = digest
        self._repo = repo
        self._content: bytes | None = None

    def content(self) -> bytes:
        """All bytes, kept for the next time.

        Raises:
            HubError: As `pieces`; hub-file-too-large.
        """
        if self._content is None:
            if self.size > CONTENT_BYTES_MAX:
                raise HubError(
                    "hub-file-too-large",
                    f"{self._repo.name}/{self.relative} has {counted(self.size, 'byte')}; no "
                    "file of its kind has.",
                    hint="Look at that file on the repo's page, or leave it out: "
                    + shell_line("--exclude", self.relative),
                )
            self._content = b"".join(self.pieces())
        return self._content

    def pieces(self) -> Iterator[bytes]:
        """The bytes one part after the other; the last part comes only where the hash is right.

        Raises:
            HubError: hub-content-differs, or what reading from the repo raises.
        """
        if self._content is not None:
            yield self._content
            return
        feed, result = self.digest.begin(self.size)
        held = b""
        for piece in self._received():
            yield held
            feed(piece)
            held = piece
        if result() != self.digest.value:
            raise HubError(
                "hub-content-differs",
                f"{self._repo.name}/{self.relative} was received with {self.digest.kind} "
                f"{result()}; the listing has {self.digest.value}. Nothing of it was staged.",
                hint=WITHOUT_MIRROR,
            )
        yield held

    def _received(self) -> Iterator[bytes]:
        cached = self._repo.cached(self.digest)
        if cached is not None and self.is_in(cached):
            with cached.open("rb") as file:
                while piece := file.read(_REQUEST_BYTES):
                    yield piece
            return
        for start in range(0, self.size, _REQUEST_BYTES):
            yield self._repo.read(self.relative, start, _REQUEST_BYTES)

    def is_in(self, path: Path) -> bool:
        """Whether a file on this machine holds the same bytes."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as file:
                pieces = iter(lambda: file.read(_REQUEST_BYTES), b"")
                return self.digest.of(pieces, self.size) == self.digest.value
        except OSError:
            return False
