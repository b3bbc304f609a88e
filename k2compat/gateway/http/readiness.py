"""Whether the upstream serves, and which engine it is, by its /v1/models."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from k2compat.gateway.dialects import Engine, engine_of_models
from k2compat.gateway.http.upstream import Upstream
from k2compat.gateway.json_text import InvalidJsonError, decode

# vLLM and SGLang answer 401 to requests without a key. Vendors answer 403 to keys that may chat but
# not list models, and 429 to keys that ask too often.
_KEY_REFUSED: Final = 401
_ALIVE: Final = (403, 429)
_KEY_MATTERS: Final = (401, 403)
_BETWEEN_QUESTIONS: Final = 1.0
"""Seconds between two questions with clients' keys: wrong keys must not double the requests."""


class Readiness:
    """What is known of the upstream.

    Attributes:
        engine: its engine, once it is known from /v1/models.
        awaits_key: whether /v1/models needs a client's key to name the engine.
        settled: whether asking again with the gateway's own key is of no use.
    """

    def __init__(self, upstream: Upstream, on_engine: Callable[[Engine], None]) -> None:
        """Begin without knowledge.

        Args:
            upstream: the upstream.
            on_engine: called with the engine once it is known.
        """
        self.engine: Engine | None = None
        self.awaits_key = False
        self.settled = False
        self._upstream = upstream
        self._on_engine = on_engine
        self._asking = asyncio.Lock()
        self._next_question = 0.0

    async def ask(self) -> str:
        """Ask /v1/models with the gateway's own key, or without one.

        Returns:
            Why the upstream cannot serve; empty where it can.
        """
        status, body = await self._upstream.ask_models()
        if status is None:
            return "the upstream does not answer"
        if status == 200:
            known = self.take(body)
            return "" if known else "the upstream's /v1/models is not a JSON text"
        self.settled = self.settled or status in _KEY_MATTERS
        self.awaits_key = (
            self.engine is None and self._upstream.passes_keys and status in _KEY_MATTERS
        )
        if status in _ALIVE or (status == _KEY_REFUSED and self._upstream.passes_keys):
            return ""
        if status != _KEY_REFUSED:
            return f"the upstream answers {status} to /v1/models"
        if self._upstream.has_key:
            return "the upstream refuses the gateway's key"
        return "the upstream needs a key, and clients' keys are the gateway's: --upstream-key-file"

    async def ask_for(self, client_headers: Mapping[str, str], request_id: str) -> None:
        """Ask /v1/models with a client's key, if only a key is missing."""
        if "Authorization" not in client_headers:
            return
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if not self.awaits_key or now < self._next_question:
                return
            status, body = await self._upstream.ask_models(client_headers, request_id)
            self._next_question = now + _BETWEEN_QUESTIONS
            if status == 200:
                self.take(body)

    def take(self, body: bytes) -> bool:
        """Take the body of an answer to /v1/models; whether it is a JSON text."""
        try:
            engine = engine_of_models(decode(body))
        except InvalidJsonError:
            return False
        if self.engine is None:
            self.engine = engine
            self._on_engine(engine)
            self.awaits_key, self.settled = False, True
        return True
