"""The forms of documents that are read, and the reader of any of them."""

from types import ModuleType
from typing import Final, cast

from k2compat.launch.modernize.command_text import Document
from k2compat.launch.modernize.forms import (
    compose,
    config_file,
    kubernetes,
    markdown,
    shell,
    systemd,
)
from k2compat.launch.modernize.forms.interface import Form

# The first form that recognizes a text reads it.
_MODULES: Final[tuple[ModuleType, ...]] = (
    markdown,
    systemd,
    kubernetes,
    compose,
    config_file,
    shell,
)
FORMS: Final[tuple[Form, ...]] = tuple(cast("Form", module) for module in _MODULES)


def read_document(text: str, start: int = 0, end: int | None = None) -> Document:
    """The contents of a text of any form between two places.

    Raises:
        RefusedError: shell-unclosed; document-malformed, the text is not of the form that it
            looks like.
    """
    end = len(text) if end is None else end
    part = text[start:end]
    form = next(form for form in FORMS if form.recognizes(part))
    return form.read(text, start, end, read_document)
