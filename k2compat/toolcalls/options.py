"""The options of a message's readers; `StreamParser` describes each."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, TypedDict

from .tools import DeclaredTools, Tools

ReasoningMode: TypeAlias = Literal["off", "tagged", "prefilled"]
Form: TypeAlias = Literal["markers", "calls", "arguments"]


class FurtherOptions(TypedDict, total=False):
    """The options that a reader takes by name alone."""

    keep_text_after_calls: bool
    marker_ids: Mapping[int, str] | None
    form: Form
    name: str | None
    max_calls: int | None
    recover_stripped: bool


class Options(FurtherOptions, total=False):
    """All of them."""

    tools: Tools | DeclaredTools | None
    reasoning: ReasoningMode
    first_index: int
