"""The sources of a checkpoint's files: a folder on disk, or a repo on the Hub.

All checks of a checkpoint use `Source` and `ReadableFile`, so that the same code judges a folder
and a repo of a terabyte, of which only the headers are fetched.

A folder's files are opened here, and only regular files: a loader that opens any file waits for
ever on a FIFO, gets an error without a name for a directory, and parses the three lines of a
Git-LFS pointer as weights.
"""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources.listing import ModelFolder, read_model_folder
from k2compat.errors import RefusedError
from k2compat.files import explained_reading, reading
from k2compat.findings import Finding
from k2compat.printable import shortened

WEIGHT_SUFFIXES = (".safetensors", ".gguf")

_FILE_SUFFIXES = (*WEIGHT_SUFFIXES, ".json", ".model", ".jinja", ".py")
"""Endings of files; a folder with such a name is in a file's place."""

LOOK_AHEAD_BYTES = 512
"""Enough to recognise a Git-LFS pointer or a web page."""

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<error", b"<head", b'{"error"')
"""Beginnings of answers that a download without checks saves under the file's name."""

_PLAIN_ANSWERS = (b"entry not found", b"not found", b"invalid username or password", b"access to")
"""The Hub's own answers in plain text, for a file that is absent or gated."""

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class ReadableFile(Protocol):
    """A regular, non-empty file whose bytes can be read from anywhere."""

    @property
    def path(self) -> Path | str:
        """Names the file in findings."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, start: int, length: int) -> bytes:
        """The bytes from `start` on, fewer than `length` only at the end of the file.

        Raises:
            FileRefusedError: They cannot be read.
        """


class Source(Protocol):
    """The files of one checkpoint."""

    @property
    def name(self) -> str:
        """The name that the user gave."""

    @property
    def files(self) -> Mapping[str, int | None]:
        """Paths within the checkpoint, with "/", and bytes; None where the size is not known."""

    @property
    def linked_folders(self) -> tuple[str, ...]:
        """Paths of symbolic links to folders; a repo on a hub has none."""

    @property
    def is_remote(self) -> bool:
        """Whether each place that is read is a request over the network."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings on the source itself, such as an incomplete snapshot in a cache."""

    def close(self) -> None:
        """Stop running requests."""

    def open(self, relative: str) -> AbstractContextManager[ReadableFile]:
        """Open one of the files.

        Raises:
            FileRefusedError: There is no such file, or it cannot be read; its finding has the
                reason.
            HubError: The Hub does not answer.
        """


def is_single_file(source: Source) -> bool:
    """Whether the user named one file, not a folder or a repo."""
    return list(source.files) == [source.name.rpartition("/")[2]]


def root_of(source: Source) -> str:
    """The root of the files' paths: the checkpoint, or the folder of a single file."""
    folder = source.name.rpartition("/")[0]
    return (folder or ".") if is_single_file(source) else source.name


class FileRefusedError(Exception):
    """The file cannot be read; `finding` has the reason. This room catches it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class OpenFile:
    """A regular, non-empty file, open for reading.

    Attributes:
        path: The path that the caller gave.
        size: Bytes, when it was opened.
    """

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        """Take an open descriptor, which the caller closes."""
        self.path = path
        self.size = size
        self._descriptor = descriptor

    def read(self, start: int, length: int) -> bytes:
        """The bytes from `start` on, fewer than `length` only at the end of the file.

        Raises:
            FileRefusedError: The system cannot read there (a bad disk, a server gone).
        """
        parts: list[bytes] = []
        while length > 0:
            try:
                part = os.pread(self._descriptor, length, start)
            except OSError as error:
                message = f"cannot be read at byte {start}: {os.strerror(error.errno or 0)}"
                raise refused(self.path, "file-unreadable", message) from error
            if not part:
                break
            parts.append(part)
            start += len(part)
            length -= len(part)
        # A single part, the usual case, is passed on without a copy.
        return parts[0] if len(parts) == 1 else b"".join(parts)


class BytesFile:
    """A file whose bytes are in memory.

    Attributes:
        path: Names it in findings.
        size: Bytes.
    """

    def __init__(self, path: Path | str, content: bytes) -> None:
        """Take all the bytes."""
        self.path = path
        self.size = len(content)
        self._content = content

    def read(self, start: int, length: int) -> bytes:
        """The bytes from `start` on, fewer than `length` only at the end."""
        return self._content[start : start + length]


@contextmanager
def open_file(path: Path) -> Iterator[OpenFile]:
    """Open a file that should hold weights. Links are followed.

    Raises:
        FileRefusedError: The file is absent, not regular, empty, not readable, or clearly something
            else: a Git-LFS pointer, a web page.
    """
    try:
        # Its type is checked before it is opened: opening a FIFO can block, and a device may act.
        _demand_regular(path, path.stat())
        # If a FIFO takes its place in between, this flag prevents waiting for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise refused(path, *_why_not_opened(path, error)) from error
    try:
        status = os.fstat(descriptor)
        _demand_regular(path, status)
        file = OpenFile(path, descriptor, status.st_size)
        demand_content(file)
        with reading(path):
            yield file
    finally:
        os.close(descriptor)


def _demand_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise refused(path, "file-is-directory", "is a directory where a file should be")
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "no regular file")
    raise refused(path, "file-is-special", f"is {kind} where a regular file should be")


def demand_content(file: ReadableFile) -> None:
    """Refuse a file that clearly holds something other than weights.

    Raises:
        FileRefusedError: It is empty, a Git-LFS pointer or a web page.
    """
    head = file.read(0, LOOK_AHEAD_BYTES)
    if not head:
        raise refused(file.path, "file-empty", "is empty")
    if head.startswith(_LFS_POINTER):
        raise refused(file.path, "file-lfs-pointer", "is a Git-LFS pointer, not the file itself")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((*_PAGES, *_PLAIN_ANSWERS)):
        message = "is a server's answer (a web page or a message), not the file itself"
        raise refused(file.path, "file-web-page", message)


def _why_not_opened(path: Path, error: OSError | ValueError) -> tuple[str, str]:
    """The code and the message for a failed `stat` or `open`."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ELOOP:
        return "file-link-loop", "is a link that leads back to itself"
    # A path with a NUL byte in it is a ValueError: no file can have that name.
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, None):
        # Path.is_symlink raises again for a name that is too long, or has a NUL in it.
        if os.path.islink(path):  # noqa: PTH114
            target = shortened(os.path.realpath(path))
            return "file-link-dangling", f"is a link to nothing, {target}"
        return "file-missing", "does not exist"
    return "file-unreadable", f"cannot be opened: {os.strerror(number or 0)}"


def refused(path: Path | str, code: str, message: str) -> FileRefusedError:
    """The error for a file that cannot be read, with its finding."""
    defects = FileFindings(str(path))
    defects.add(code, message)
    return FileRefusedError(defects.findings()[0])


class FolderSource:
    """The files below a folder. Links to files are followed, linked folders are not entered.

    Attributes:
        name: The name that the user gave.
        folder: The listing.
        is_remote: False.
        findings: None: a fault of a file is a finding of that file.
    """

    is_remote = False
    findings: tuple[Finding, ...] = ()

    def __init__(self, name: str, folder: ModelFolder) -> None:
        """Take a listing; its files may be elsewhere."""
        self.name = name
        self.folder = folder

    @property
    def linked_folders(self) -> tuple[str, ...]:
        """Paths of symbolic links to folders."""
        return self.folder.linked_folders

    @cached_property
    def files(self) -> Mapping[str, int | None]:
        """Paths within the folder, with "/", and bytes; None for what is no regular file.

        A directory with the name of a file is among them: opening it gives the finding.
        """
        misplaced = dict.fromkeys(_folders_for_files(self.folder))
        return {
            **misplaced,
            **{relative: _size(path) for relative, path in self.folder.files.items()},
        }

    def close(self) -> None:
        """Do nothing, since files are open only while they are read."""

    def open(self, relative: str) -> AbstractContextManager[ReadableFile]:
        """Open one of the files.

        Raises:
            FileRefusedError: It is not there or cannot be read.
        """
        # A file that is not in the listing is opened below the folder: the refusal names it.
        return open_file(self.folder.files.get(relative, self.folder.root / relative))


def open_folder_source(path: Path) -> FolderSource:
    """A folder with a checkpoint, or one file of weights.

    Raises:
        RefusedError: not-found or not-readable; weights-missing for a file that is none.
    """
    with explained_reading(path):
        # Any entry with the name of weights is opened: a FIFO or a dangling link becomes a finding.
        is_named_as_weights = path.name.endswith(WEIGHT_SUFFIXES)
        mode = (path.lstat() if is_named_as_weights and not path.is_dir() else path.stat()).st_mode
        if stat.S_ISDIR(mode):
            return FolderSource(str(path), read_model_folder(path))
    if not is_named_as_weights:
        raise RefusedError(
            "weights-missing",
            f"{path} is neither a folder nor a .safetensors or .gguf file.",
            hint="Name the folder: parts of a GGUF that lie in it are judged as one file."
            if ".gguf" in path.name
            else "Name the folder that holds the weights.",
        )
    return FolderSource(str(path), ModelFolder(path.parent, {path.name: path}, ()))


def _folders_for_files(folder: ModelFolder) -> Iterator[str]:
    """Directories in a file's place: they have a file's name, and hold no such file."""
    for relative in (*folder.folders, *folder.linked_folders):
        suffix = PurePosixPath(relative).suffix
        if suffix in _FILE_SUFFIXES and not any(
            name.startswith(f"{relative}/") and name.endswith(suffix) for name in folder.files
        ):
            yield relative


def _size(path: Path) -> int | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
