"""An OpenAI-compatible server before another one: it repairs requests and reads answers.

This room is pure: bytes in, bytes out. `options` are plain values.
"""

from k2compat.gateway.dialects import ENGINES, Engine
from k2compat.gateway.draft import Note, RequestRefusedError
from k2compat.gateway.options import Options
from k2compat.gateway.request import STEP_NAMES, STEPS, PreparedRequest, prepare
from k2compat.gateway.sse import EventReader, EventTooLargeError, ServerSentEvent

__all__ = [
    "ENGINES",
    "STEPS",
    "STEP_NAMES",
    "Engine",
    "EventReader",
    "EventTooLargeError",
    "Note",
    "Options",
    "PreparedRequest",
    "RequestRefusedError",
    "ServerSentEvent",
    "prepare",
]
