"""tiktoken.model, the vocabulary of Kimi-K2: a token in base64 and its rank on each line."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import ReadableFile
from k2compat.findings import Finding
from k2compat.printable import counted

RANKS_FILE: Final = "tiktoken.model"
RANKS_BYTES_MAX: Final = 16 << 20
"""Kimi-K2's has 2.8 MB; a larger one is not read."""

_LINE: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2} ([0-9]{1,9})")


def check_ranks(file: ReadableFile) -> tuple[Finding, ...]:
    """Find a line that is not a token and its rank, such as the last line of a cut file.

    Raises:
        FileRefusedError: The file cannot be read.
    """
    defects = FileFindings(str(file.path))
    if is_too_large(file, RANKS_BYTES_MAX, defects):
        return defects.findings()
    lines = file.read(0, file.size).splitlines()
    tokens = list(filter(None, lines))  # tokenizers skip empty lines
    # At once: one step of Python for each of 163,584 lines takes longer than 50,000 tensors.
    if not all(map(_LINE.fullmatch, tokens)):
        return _damaged(file, _first(lines, lambda line: bool(line) and not _LINE.fullmatch(line)))
    # Ranks grow: a last one that is less than the number of tokens before it has lost digits.
    if not tokens or int(tokens[-1].rpartition(b" ")[2]) < len(tokens) - 1:
        return _damaged(file, len(lines) - _first(lines[::-1], bool) + 1 if tokens else 0)
    return ()


def _first(lines: Sequence[bytes], is_meant: Callable[[bytes], bool]) -> int:
    """The number of a line, from 1 on."""
    return next(number for number, line in enumerate(lines, start=1) if is_meant(line))


def is_too_large(file: ReadableFile, limit: int, found: FileFindings) -> bool:
    """Whether a file has more bytes than any tokenizer of the family, which is a finding.

    Args:
        file: The tokenizer's file.
        limit: The largest number of bytes that is read.
        found: Takes the finding.
    """
    if file.size <= limit:
        return False
    found.add(
        "companion-too-large",
        f"it has {counted(file.size, 'byte')}, and was not read: the family's tokenizers have less",
        expected=f"at most {counted(limit, 'byte')}",
        actual=counted(file.size, "byte"),
    )
    return True


def _damaged(file: ReadableFile, number: int) -> tuple[Finding, ...]:
    defects = FileFindings(str(file.path))
    message = "the file is cut or damaged: this line is no token in base64 with its rank"
    defects.add("companion-damaged", message, at=f"line {number}")
    return defects.findings()
