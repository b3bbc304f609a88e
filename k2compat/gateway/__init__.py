"""An OpenAI-compatible server before another one: it repairs requests and reads answers.

`Exchange` is the whole of it without sockets; `options` are plain values. What needs aiohttp is
imported by its own name only (`server`, `service`), so this room loads without the extra `serve`.
"""

from k2compat.gateway.dialects import ENGINES, Engine
from k2compat.gateway.draft import Note, RequestRefusedError
from k2compat.gateway.exchange import Exchange, Head
from k2compat.gateway.options import Options
from k2compat.gateway.request import STEP_NAMES, STEPS, PreparedRequest, prepare
from k2compat.gateway.settings import Settings, read_settings, refuse_without_extra
from k2compat.gateway.sse import EventReader, EventTooLargeError, ServerSentEvent

__all__ = [
    "ENGINES",
    "STEPS",
    "STEP_NAMES",
    "Engine",
    "EventReader",
    "EventTooLargeError",
    "Exchange",
    "Head",
    "Note",
    "Options",
    "PreparedRequest",
    "RequestRefusedError",
    "ServerSentEvent",
    "Settings",
    "prepare",
    "read_settings",
    "refuse_without_extra",
]
