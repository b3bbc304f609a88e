"""An OpenAI-compatible server in front of another one: it repairs requests and reads answers.

`Exchange` is the whole gateway without sockets; `options` are plain values. The modules that need
aiohttp (`http`, `service`) are not imported here, so this room loads without the extra `serve`.
"""

from k2compat.gateway.dialects import ENGINES, Engine, engine_of_models
from k2compat.gateway.draft import Note, RequestRefusedError
from k2compat.gateway.exchange import Exchange, Head
from k2compat.gateway.json_text import InvalidJsonError, decode, encode
from k2compat.gateway.options import Options
from k2compat.gateway.request import (
    STEP_NAMES,
    STEPS,
    PreparedRequest,
    prepare,
    reasoning_mode,
)
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
    "InvalidJsonError",
    "Note",
    "Options",
    "PreparedRequest",
    "RequestRefusedError",
    "ServerSentEvent",
    "Settings",
    "decode",
    "encode",
    "engine_of_models",
    "prepare",
    "read_settings",
    "reasoning_mode",
    "refuse_without_extra",
]
