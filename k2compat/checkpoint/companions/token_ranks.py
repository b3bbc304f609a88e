"""tiktoken.model, the vocabulary of Kimi-K2: a token in base64 and its rank on each line."""

import re
from operator import itemgetter
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
    """Find a line that is no token and its rank, such as the last one of a file that was cut.

    Raises:
        FileRefusedError: The file cannot be read.
    """
    defects = FileFindings(str(file.path))
    if is_too_large(file, RANKS_BYTES_MAX, defects):
        return defects.findings()
    last, rank = 0, -1
    # Tokenizers skip empty lines.
    lines = filter(itemgetter(1), enumerate(file.read(0, file.size).splitlines(), start=1))
    for tokens, (number, line) in enumerate(lines, start=1):
        found = _LINE.fullmatch(line)
        if found is None:
            return _damaged(file, number)
        last, rank = number, int(found[1]) - tokens + 1
    # Ranks grow: a last one that is less than the number of tokens before it has lost digits.
    return _damaged(file, last) if rank < 0 else ()


def is_too_large(file: ReadableFile, limit: int, found: FileFindings) -> bool:
    """Whether a file has more bytes than any tokenizer of the family; then it is a finding.

    Args:
        file: Of the tokenizer.
        limit: Bytes that are still read.
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
