"""What the parser has read, put together."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .events import Problem

FinishReason: TypeAlias = Literal["tool_calls", "length", "stop", "content_filter"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool.

    Attributes:
        id: the call's id in the model's own form, ``functions.NAME:IDX``.
        name: the name of the tool.
        arguments: the arguments as the model wrote them, meant to be JSON.
        complete: whether the arguments are one whole JSON object.
        raw_id: the id as the model wrote it; equal to `id` unless it had to
            be made canonical.
    """

    id: str
    name: str
    arguments: str
    complete: bool
    raw_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """One assistant message.

    Attributes:
        content: the answer, or None if there is none (or nothing but white
            space next to tool calls).
        reasoning: the reasoning without trailing white space, or None.
        tool_calls: the calls in the order the model made them.
        problems: what deviated from the format, in the order it was found.
        finish_reason: ``"length"`` if the end of the text cut a call, else
            ``"tool_calls"`` if there are calls, else ``"stop"``. A call that
            the model ended itself with broken arguments is not cut.
            ``"content_filter"`` comes from `SplitReader` alone, where the
            server gave it.
    """

    content: str | None
    reasoning: str | None
    tool_calls: tuple[ToolCall, ...]
    problems: tuple[Problem, ...]
    finish_reason: FinishReason
