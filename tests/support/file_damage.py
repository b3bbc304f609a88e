"""What can stand in the place of a file, each with the code that validation has for it."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

POINTER: Final = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
PAGE: Final = b"<!DOCTYPE html><html></html>"


def clear(path: Path) -> None:
    """Take away what is there, a folder too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Replace the bytes by what `change` makes of them."""

    def put(path: Path) -> None:
        path.write_bytes(change(path.read_bytes() if path.is_file() else b""))

    return put


def put_link(target: str) -> Callable[[Path], None]:
    """Put a link; "" makes one to itself."""

    def put(path: Path) -> None:
        clear(path)
        path.symlink_to(target or path.name)

    return put


def put_directory(path: Path) -> None:
    """Put an empty directory, as a bind mount of a path that does not exist does."""
    clear(path)
    path.mkdir()


def put_linked_directory(path: Path) -> None:
    """Put a link to a directory."""
    target = path.with_name("elsewhere")
    target.mkdir(exist_ok=True)
    put_link(target.name)(path)


def put_fifo(path: Path) -> None:
    """Put a FIFO: who opens it waits for ever."""
    clear(path)
    os.mkfifo(path)


FILE_DAMAGE: Final[Mapping[str, tuple[Callable[[Path], None], str]]] = {
    "empty": (put_bytes(lambda _: b""), "file-empty"),
    "pointer": (put_bytes(lambda _: POINTER), "file-lfs-pointer"),
    "page": (put_bytes(lambda _: PAGE), "file-web-page"),
    "dangling": (put_link("nowhere"), "file-link-dangling"),
    "loop": (put_link(""), "file-link-loop"),
    "directory": (put_directory, "file-is-directory"),
    "linked directory": (put_linked_directory, "file-is-directory"),
    "fifo": (put_fifo, "file-is-special"),
    "device": (put_link("/dev/zero"), "file-is-special"),
}
