"""Reads the tool calls, the reasoning and the content in a Kimi-K2 model's output.

Standalone: nothing but the standard library, no sockets, no threads, no
clock. Text goes in, events come out.

    >>> from k2compat.toolcalls import parse
    >>> message = parse(
    ...     "Let me look.<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0"
    ...     '<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|>'
    ...     "<|tool_calls_section_end|>"
    ... )
    >>> message.content
    'Let me look.'
    >>> message.tool_calls[0].arguments
    '{"city": "Paris"}'
"""

from .events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    Content,
    Event,
    Problem,
    Reasoning,
)
from .iterate import aiter_events, iter_events
from .markers import marker_ids
from .message import FinishReason, Message, ToolCall
from .options import Form, ReasoningMode
from .parser import StreamParser, parse
from .reasoning_mode import reasoning_mode
from .split import SplitReader, read_answer
from .tools import DeclaredTools, Tools, prepare_tools

__all__ = [
    "ArgumentsDelta",
    "CallEnd",
    "CallStart",
    "Content",
    "DeclaredTools",
    "Event",
    "FinishReason",
    "Form",
    "Message",
    "Problem",
    "Reasoning",
    "ReasoningMode",
    "SplitReader",
    "StreamParser",
    "ToolCall",
    "Tools",
    "aiter_events",
    "iter_events",
    "marker_ids",
    "parse",
    "prepare_tools",
    "read_answer",
    "reasoning_mode",
]
