"""Reads the tool calls, the reasoning and the content in a Kimi-K2 model's output.

Standalone: nothing but the standard library and `regex`, no sockets, no
threads, no clock. Text goes in, events come out.
"""

from k2compat.toolcalls.events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    Content,
    Event,
    Problem,
    Reasoning,
)
from k2compat.toolcalls.message import FinishReason, Message, ToolCall

__all__ = [
    "ArgumentsDelta",
    "CallEnd",
    "CallStart",
    "Content",
    "Event",
    "FinishReason",
    "Message",
    "Problem",
    "Reasoning",
    "ToolCall",
]
