"""A patch as a unified diff."""

import os
from collections.abc import Iterator

from k2compat.config.patch import Patch


def unified_diff(patch: Patch, name: str) -> str:
    """The change in the form of `diff -u` and `patch`; empty where nothing changes."""
    from difflib import unified_diff as diff

    quoted = _quoted(name)
    lines = diff(_lines(patch.old), _lines(patch.new), quoted, quoted, n=2)
    return "".join(_with_newline_marks(lines))


def _quoted(name: str) -> str:
    """A file name as GNU diff writes it: with escapes where a plain one would mislead."""
    if name.isprintable() and not name.startswith('"'):
        return name
    escapes = {ord("\\"): "\\\\", ord('"'): '\\"'}
    written = (
        escapes.get(byte, chr(byte)) if 32 <= byte < 127 else f"\\{byte:03o}"
        for byte in os.fsencode(name)
    )
    return '"' + "".join(written) + '"'


def _lines(data: bytes) -> list[str]:
    # Only a newline ends a line here: splitlines() splits at characters inside strings too.
    lines = data.decode().split("\n")
    return [line + "\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]


def _with_newline_marks(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if not line.endswith("\n"):
            yield "\n\\ No newline at end of file\n"
