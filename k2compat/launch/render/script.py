"""A file that a renderer makes."""

import msgspec


class Script(msgspec.Struct, frozen=True):
    """A file to be written: its text, and whether it is a program."""

    text: str
    executable: bool = False
