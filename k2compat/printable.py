"""Text from untrusted files, made fit for a terminal."""

from typing import Final

CHARACTERS_SHOWN: Final = 200
"""Of one name or value in a finding: a header may hold a name of a megabyte."""


def printable(text: str) -> str:
    r"""The text with every character escaped that a terminal does not print as itself.

    Line feeds, escape sequences, characters that turn the writing direction and lone surrogates
    become `\n`, `\x1b`, `\u202e`, `\ud800`.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count and what is counted: "1 file", "1,026 files".

    Args:
        count: How many.
        noun: The singular.
        plural: The plural, where it is not the singular and an s.
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def shortened(text: str) -> str:
    """The same of at most `CHARACTERS_SHOWN` characters; "…" replaces the rest."""
    if len(text) > CHARACTERS_SHOWN:
        text = text[:CHARACTERS_SHOWN] + "…"
    return printable(text)
