"""A talking model that obeys the requests of a check, served by llama.cpp."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from k2compat.endpoint.asking.wanted import (
    CUT,
    EMPTY,
    NESTED,
    PARIS,
    ROME,
    TWO,
    UNICODE,
    WantedCall,
)
from k2compat.samples.llama_server import llama_server
from k2compat.samples.talking import GGUF_FILE, Script, write_talking_model
from k2compat.samples.talking.scripts import call_parts, section_parts

CONTEXT: Final = 16384
"""Tokens: the model's tokenizer writes 8 kB of text as 8,192 of them."""


def script_of(*calls: WantedCall, first: int = 0) -> Script:
    """The calls as the model writes them.

    The text before them is another one in each script: the model knows nine tokens at a time, and
    the begins of all calls are much alike.
    """
    parts = (
        call_parts(f"functions.{call.name}:{number}", call.arguments_text)
        for number, call in enumerate(calls, first)
    )
    return Script((f"{len(str(calls))}.", *section_parts(*parts)))


# A script is chosen by the end of the last user message. The call of 8 kB is more than the model
# can learn by heart.
SCRIPTS: Final = {
    str(PARIS): script_of(PARIS),
    str(TWO[-1]): script_of(*TWO),
    str(NESTED): script_of(NESTED),
    str(EMPTY): script_of(EMPTY),
    str(UNICODE): script_of(UNICODE),
    str(ROME): script_of(ROME, first=1),
    str(CUT): script_of(CUT),
}


@contextmanager
def talking_server(*, special_markers: bool = False) -> Iterator[str]:
    """The base URL of llama.cpp with that model."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "model"
        write_talking_model(folder, form="gguf", special_markers=special_markers, scripts=SCRIPTS)
        with llama_server(folder / GGUF_FILE, CONTEXT) as url:
            yield f"{url}/v1"
