"""The interface of the reader of each form.

A form is a module of this folder with three names:

    NAME                                       the form's name in findings
    recognizes(text) -> bool                   whether a text is of this form
    read(text, start, end, nested) -> Document the contents between two places of the text

`nested(text, start, end)` reads a document of any form within the document. Places count from the
beginning of the whole text, so that they never have to be shifted.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Protocol, TypeAlias

from k2compat.launch.engines import engine_names
from k2compat.launch.flags import programs_of
from k2compat.launch.modernize.command_text import Document

NestedReader: TypeAlias = Callable[[str, int, int], Document]


class Form(Protocol):
    """A module that reads one form."""

    NAME: str

    def recognizes(self, text: str) -> bool:
        """Whether a text is of this form."""

    def read(self, text: str, start: int, end: int, nested: NestedReader) -> Document:
        """The contents between two places of a text.

        Raises:
            RefusedError: The text is not of this form after all.
        """


def holds_program(text: str) -> bool:
    """Whether a text names an engine's program, however its words are separated."""
    return mentions(engine_names()).search(text) is not None


@cache
def mentions(engines: tuple[str, ...]) -> re.Pattern[str]:
    """Find an engine's program in any text: `vllm serve`, `"vllm", "serve"`.

    A path before it (`/opt/bin/vllm`) belongs to it; a longer name (`vllm serve-test`) is another
    program.
    """
    between = r"""["']?[\s,]+["']?"""
    programs = {
        between.join(map(re.escape, _telling(program)))
        for engine in engines
        for entry in programs_of(engine).entry
        for program in entry.programs
    }
    longest_first = sorted(programs, key=len, reverse=True)
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(longest_first)})(?![\w.-])")


def _telling(program: tuple[str, ...]) -> tuple[str, ...]:
    """The words that identify a program: those without `python -m`."""
    return tuple(word for word in program if word not in ("{python}", "-m"))
