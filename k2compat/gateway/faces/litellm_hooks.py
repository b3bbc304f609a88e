"""The gateway as LiteLLM's callbacks: requests are repaired before a call, answers read after it.

LiteLLM is imported when `handler` is asked for, and not before:

    litellm_settings:
      callbacks: k2compat.gateway.faces.litellm_hooks.handler
"""

import copy
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from typing import Any, Final

from k2compat.gateway.answers import AnswerHead, StreamedAnswer, whole_answer
from k2compat.gateway.draft import Json, RequestRefusedError
from k2compat.gateway.options import Options
from k2compat.gateway.reading import AnswerReading, Piece
from k2compat.gateway.request import PreparedRequest, prepare_body

_CHAT: Final = ("completion", "acompletion")
# LiteLLM sets addresses and keys itself, and translates the other fields for the engine.
_SKIPPED: Final = frozenset({"remove-fields", "extras"})
# LiteLLM sends members that it does not know to the engine, so nothing is kept in its data.
_CALL_ID: Final = "litellm_call_id"
_KEPT_MAX: Final = 10_000


class Hooks:
    """LiteLLM's hooks; `make_handler` joins them with its base class."""

    def __init__(self, options: Options | None = None) -> None:
        """Take the options of every exchange; the defaults skip what LiteLLM does itself."""
        self.options = options or Options(skip=_SKIPPED)
        self.problems: Counter[str] = Counter()
        self._kept: OrderedDict[str, PreparedRequest] = OrderedDict()

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: Json, call_type: str
    ) -> Json | str:
        """Repair a request; a refused one is answered with the reason."""
        if call_type not in _CHAT:
            return data
        try:
            # The steps change messages in place, and LiteLLM's retries send them again.
            messages = copy.deepcopy(data.get("messages"))
            prepared = prepare_body({**data, "messages": messages}, self.options)
        except RequestRefusedError as error:
            return error.message
        if isinstance(data.get(_CALL_ID), str):
            self._kept[data[_CALL_ID]] = prepared
            while len(self._kept) > _KEPT_MAX:  # requests that failed get no answer
                self._kept.popitem(last=False)
        return prepared.body

    async def async_post_call_success_hook(
        self, data: Json, user_api_key_dict: Any, response: Any
    ) -> Any:
        """Read a whole answer."""
        answer = _as_dict(response)
        if not isinstance(answer.get("choices"), list):
            return response
        reading = AnswerReading(self._prepared(data), self.options, self.problems)
        if not reading.whole(answer):
            return response
        reading.finish()
        head = AnswerHead("", "", int(time.time()))
        head.take(answer)
        choices = reading.as_whole(self.options.reasoning_field)
        return type(response)(**whole_answer(answer, head, choices, reading.usage))

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: Json
    ) -> AsyncIterator[Any]:
        """Read a stream; its chunks keep LiteLLM's own class."""
        reading = AnswerReading(self._prepared(request_data), self.options, self.problems)
        head = AnswerHead("", "", int(time.time()))
        stream = StreamedAnswer(head, self.options.reasoning_field)
        kind: Any = dict
        async for chunk in response:
            kind, value = type(chunk), _as_dict(chunk)
            head.take(value)
            for made in _chunks(stream, reading.chunk(value)):
                yield kind(**made)
            if not value.get("choices"):
                yield chunk
        for made in _chunks(stream, reading.finish()):
            yield kind(**made)

    def _prepared(self, data: Json) -> PreparedRequest:
        kept = self._kept.pop(str(data.get(_CALL_ID)), None)
        if kept is not None:
            return kept
        messages = data.get("messages")
        body = {**data, "messages": messages if isinstance(messages, list) else []}
        return prepare_body(body, self.options)


def make_handler(options: Options | None = None) -> Any:
    """An instance that LiteLLM takes as a callback.

    Args:
        options: the options of every exchange; None takes the defaults.

    Raises:
        ImportError: LiteLLM is not installed.
    """
    from litellm.integrations.custom_logger import (  # type: ignore[import-not-found,unused-ignore]
        CustomLogger,
    )

    # LiteLLM calls a hook only where the callback's own class holds it, not where a base does
    # (ProxyLogging.callback_capabilities in litellm/proxy/utils.py, 1.106.12).
    hooks = {name: value for name, value in vars(Hooks).items() if name.startswith("async_")}
    made = type("K2CompatHandler", (Hooks, CustomLogger), hooks)
    return made(options)


def __getattr__(name: str) -> Any:
    """Make `handler` when LiteLLM asks for it."""
    if name == "handler":
        globals()[name] = make_handler()
        return globals()[name]
    raise AttributeError(name)


def _chunks(stream: StreamedAnswer, pieces: list[Piece]) -> list[Json]:
    return [chunk for piece in pieces for chunk in stream.chunks(piece)]


def _as_dict(value: Any) -> Json:
    """A response as plain objects; pydantic's models have `model_dump`."""
    dumped = value.model_dump() if hasattr(value, "model_dump") else value
    return dumped if isinstance(dumped, dict) else {}
