"""Gives the calls of a conversation the model's own ids, and the client's back.

Clients number their calls as they like (`call_…`, uuids). The model imitates
what it finds in its prompt, and then writes ids that no longer name a tool. So
before a prompt is made, every call gets the id the model would have written:
`functions.NAME:IDX`, with one counter from 0 over the whole conversation. What
a template would print as a Python object becomes text on the way.
"""

from .numbering import ChatMessage, HistoryError, NativeHistory, native_history, restore_ids
from .safe_ids import safe_id

__all__ = [
    "ChatMessage",
    "HistoryError",
    "NativeHistory",
    "native_history",
    "restore_ids",
    "safe_id",
]
