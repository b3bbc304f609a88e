"""k2compat: Kimi-K2, running correctly on any inference engine.

The names below are loaded when they are first asked for, so that `import k2compat` stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k2compat.errors import K2CompatError
    from k2compat.findings import Finding
    from k2compat.toolcalls import Message, StreamParser, ToolCall, parse

__version__ = "0.1.0"

__all__ = [
    "Finding",
    "K2CompatError",
    "Message",
    "StreamParser",
    "ToolCall",
    "__version__",
    "parse",
]

_HOMES = {
    "Finding": "k2compat.findings",
    "K2CompatError": "k2compat.errors",
    "Message": "k2compat.toolcalls",
    "StreamParser": "k2compat.toolcalls",
    "ToolCall": "k2compat.toolcalls",
    "parse": "k2compat.toolcalls",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
