"""Thoughts of open tool loops, kept for clients that drop them.

K2's templates show the model its own thoughts until a tool loop closes, and many clients send the
calls back without them. With `--remember-thoughts` the gateway puts them back. It keeps them only
in memory, by a hash of the client's key and of the conversation up to the turn, so that a client
gets only the thoughts of the conversation that it sends.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from k2compat.gateway.json_text import InvalidJsonError, decode, encode

if TYPE_CHECKING:
    from k2compat.gateway.draft import Json

_SECONDS: Final = 3600
_OVERHEAD: Final = 200
"""Bytes that an entry takes in addition to its text."""

Hash = Any  # hashlib names no public type


class ThoughtMemory:
    """The thoughts of the last hour, up to a size."""

    def __init__(self, limit: int) -> None:
        """Begin without any.

        Args:
            limit: how many bytes they may take; the oldest go first.
        """
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        # Without this secret, anyone who knows a conversation could compute its hashes.
        self._salt = secrets.token_bytes(16)

    def begin(self, client: bytes) -> Hash:
        """The hash of an empty conversation of a client."""
        return hashlib.blake2b(client, digest_size=16, key=self._salt)

    def put(self, key: bytes, thoughts: str, now: float) -> None:
        """Keep the thoughts of a turn."""
        self._drop(key)
        self._entries[key] = (now + _SECONDS, thoughts)
        self._size += _size_of(thoughts)
        while self._size > self._limit:
            self._drop(next(iter(self._entries)))

    def get(self, key: bytes, now: float) -> str | None:
        """The thoughts of a turn, if they are kept and not too old."""
        expires, thoughts = self._entries.get(key, (0.0, ""))
        return thoughts if now < expires else None

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        self._size -= 0 if entry is None else _size_of(entry[1])


class Recall(NamedTuple):
    """What an exchange needs to remember thoughts.

    Attributes:
        memory: where they are kept.
        client: tells clients apart: their key, or nothing.
        now: the time, in seconds of any clock that does not go back.
    """

    memory: ThoughtMemory
    client: bytes
    now: float

    def restore(self, messages: "list[Json]") -> tuple[Hash, int]:
        """Put thoughts back into the turns with calls that lack them.

        Returns:
            The hash of the whole conversation, and how many turns got their thoughts back.
        """
        conversation, restored = self.memory.begin(self.client), 0
        for message in messages:
            conversation.update(_identity(message))
            if message.get("tool_calls") and not message.get("reasoning_content"):
                thoughts = self.memory.get(conversation.digest(), self.now)
                if thoughts is not None:
                    message["reasoning_content"] = thoughts
                    restored += 1
        return conversation, restored

    def keep(self, conversation: Hash, answer: Mapping[str, Any]) -> None:
        """Keep the thoughts of an answer with calls; `conversation` is the request's hash."""
        thoughts = answer.get("reasoning_content")
        if thoughts and answer.get("tool_calls"):
            whole = conversation.copy()
            whole.update(_identity(answer))
            self.memory.put(whole.digest(), thoughts, self.now)


def _size_of(thoughts: str) -> int:
    return len(thoughts.encode("utf-8", "surrogatepass")) + _OVERHEAD


def _identity(message: Mapping[str, Any]) -> bytes:
    """The parts of a message that stay equal however a client writes it: no ids, no thoughts."""
    functions = [call.get("function", {}) for call in message.get("tool_calls") or ()]
    calls = [[each.get("name"), _value(each.get("arguments"))] for each in functions]
    return encode([message.get("role"), message.get("content") or "", calls])


def _value(arguments: object) -> object:
    """Arguments as a value whose members are sorted, so that the client's order does not matter."""
    try:
        value = decode(arguments) if isinstance(arguments, str) else arguments
    except InvalidJsonError:
        return arguments
    return sorted(value.items()) if isinstance(value, dict) else value
