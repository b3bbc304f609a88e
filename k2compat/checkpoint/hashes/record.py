"""The hashes of earlier runs, so that the next one continues: a JSON file that the user names.

    {"schema": "k2compat.hash-record/1",
     "folders": {"/models/Kimi-K2": {"model-1-of-61.safetensors":
        {"size": …, "mtime_ns": …, "ctime_ns": …, "inode": …, "digests": {"sha256": "…"}}}}}

An entry is valid for the same path of the same folder, as long as the file's state is the same.
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from k2compat.errors import RefusedError, WriteError
from k2compat.files import NewFile, explained_reading, read_regular, real_path, write_bundle

RECORD_BYTES_MAX: Final = 64 << 20
"""A file takes some 300 bytes; a folder has at most 200,000."""

SECONDS_BETWEEN_WRITES: Final = 5.0
"""A killed run loses at most so much work, besides the files that are being hashed."""

_SCHEMA: Final = "k2compat.hash-record/1"


class FileState(msgspec.Struct, frozen=True):
    """Values that change with each change of a file's bytes.

    No program can set `ctime_ns` back: `touch -r` restores only `mtime_ns`.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The state from the result of a `stat`."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class _Entry(FileState, frozen=True):
    digests: dict[str, str]


class _Document(msgspec.Struct):
    schema: Literal["k2compat.hash-record/1"]
    folders: dict[str, dict[str, _Entry]]


@dataclass(frozen=True, slots=True)
class _Place:
    """The record's file: its folder with links resolved, and its name there."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        return self.folder / self.name


class HashRecord:
    """The hashes of one folder's files. May be used from several threads at once."""

    def __init__(self, place: _Place, folder: str) -> None:
        """Take a checked file; use `open_record` to make a record."""
        self._place = place
        self._folder = folder
        self._lock = threading.Lock()
        self._entries = _read(place).get(folder, {})
        self._is_saved = True
        self._written = time.monotonic()

    @property
    def path(self) -> Path:
        """The file."""
        return self._place.path

    def find(self, relative: str, state: FileState, kind: str) -> str | None:
        """The hash of a file, in hexadecimal digits; None where it is not known, or outdated."""
        entry = self._entries.get(_key(relative))
        if entry is None or _state(entry) != state:
            return None
        return entry.digests.get(kind)

    def add(self, relative: str, state: FileState, digests: dict[str, str]) -> None:
        """Note a file's hashes; `save` writes them."""
        with self._lock:
            self._entries[_key(relative)] = _Entry(
                state.size, state.mtime_ns, state.ctime_ns, state.inode, digests
            )
            self._is_saved = False

    def save_at_times(self) -> None:
        """Write new hashes, unless that was done a moment ago; `save` reports a failure."""
        if time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
            self.save()

    def save(self) -> WriteError | RefusedError | None:
        """Write new hashes in one step; returns the reason if that failed."""
        with self._lock:
            if self._is_saved:
                return None
            self._written = time.monotonic()
            try:
                self._write()
            except (WriteError, RefusedError) as error:
                return error
            self._is_saved = True
        return None

    def demand_writable(self) -> None:
        """Write the file once, so that a failure is known before hours of work.

        Raises:
            WriteError: The system refused.
        """
        self._write()

    def _write(self) -> None:
        # Read again: another run may have added its folder meanwhile.
        folders = _read(self._place)
        folders[self._folder] = self._entries
        content = msgspec.json.format(msgspec.json.encode(_Document(_SCHEMA, folders)), indent=1)
        write_bundle(self._place.folder, {self._place.name: NewFile(content + b"\n")}, replace=True)


def open_record(path: Path, folder: Path, kept_out_of: frozenset[Path]) -> HashRecord:
    """Open the file that `--hash-record` names, or begin it.

    Args:
        path: The file.
        folder: The folder whose files are hashed, with links resolved.
        kept_out_of: Folders of the model, with links resolved, in which no file may be made.

    Raises:
        RefusedError: hash-record-inside; hash-record-foreign, for a file that is no record;
            not-found for its folder, not-readable.
        WriteError: It cannot be written.
    """
    with explained_reading(path.parent):
        place = _Place(real_path(path.parent), path.name)
    inside = next((each for each in kept_out_of if place.path.is_relative_to(each)), None)
    if inside is not None:
        raise RefusedError(
            "hash-record-inside",
            f"{path} would lie in the model's own folder, {inside}.",
            hint="Name a file elsewhere; engines and uploads take whatever is in a model's folder.",
        )
    record = HashRecord(place, _key(str(folder)))
    record.demand_writable()
    return record


def _read(place: _Place) -> dict[str, dict[str, _Entry]]:
    if not os.path.lexists(place.path):
        return {}
    with explained_reading(place.path):
        content = read_regular(place.path, RECORD_BYTES_MAX)
    try:
        # A longer file is cut here, so that it is no valid JSON.
        return msgspec.json.decode(content, type=_Document).folders
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RefusedError(
            "hash-record-foreign",
            f"{place.path} is there and is no record of hashes.",
            hint="Name another file, or remove that one.",
        ) from error


def _state(entry: _Entry) -> FileState:
    return FileState(entry.size, entry.mtime_ns, entry.ctime_ns, entry.inode)


def _key(relative: str) -> str:
    """A name in a form that JSON can hold, also if its bytes are no text."""
    return relative.encode("utf-8", "backslashreplace").decode()
