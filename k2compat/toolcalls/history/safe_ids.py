"""Ids that every client takes, made of native ones."""

import re
from typing import Final
from zlib import crc32

_SAFE_LENGTH: Final = 40
_SAFE: Final = re.compile(r"[A-Za-z0-9_-]+")
_UNSAFE_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9_-]")


def safe_id(native_id: str) -> str:
    """Write a native id so that every client takes it.

    Args:
        native_id: `functions.NAME:IDX`.

    Returns:
        `NAME_IDX`, of ASCII letters, digits, `_` and `-`, 40 characters at
        most. Where NAME or IDX had to be changed for that, a checksum of the
        native id keeps different ids different.
    """
    name, _, number = native_id.removeprefix("functions.").rpartition(":")
    written = f"{name}_{number}"
    if len(written) <= _SAFE_LENGTH and _SAFE.fullmatch(written):
        return written
    ending = f"_{crc32(native_id.encode('utf-8', 'surrogatepass')):08x}_{number[-15:]}"
    plain = _UNSAFE_CHARACTERS.sub("_", name)[: _SAFE_LENGTH - len(ending)]
    return plain + _UNSAFE_CHARACTERS.sub("_", ending)
