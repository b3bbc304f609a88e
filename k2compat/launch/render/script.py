"""A file that a renderer makes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """A file to be written: its text, and whether it is a program."""

    text: str
    executable: bool = False
