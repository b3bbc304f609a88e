"""What /v1/models tells of an upstream."""

import asyncio
from typing import Any, cast

from k2compat.gateway.http.readiness import Readiness


class Answering:
    """An upstream that gives these answers to /v1/models."""

    passes_keys = has_key = False

    def __init__(self, *answers: tuple[int | None, bytes]) -> None:
        self._answers = list(answers)

    async def ask_models(self, *_: Any) -> tuple[int | None, bytes]:
        return self._answers.pop(0)


def test_a_silent_upstream_is_not_ready() -> None:
    readiness = Readiness(cast("Any", Answering((None, b""))), lambda _: None)
    assert asyncio.run(readiness.ask()) == "the upstream does not answer"
    assert readiness.engine is None


def test_the_engine_is_learnt_once() -> None:
    told: list[str] = []
    models = b'{"data": [{"id": "k2", "owned_by": "vllm"}]}'
    upstream = Answering((200, models), (200, models.replace(b"vllm", b"sglang")))
    readiness = Readiness(cast("Any", upstream), told.append)

    async def ask_twice() -> list[str]:
        return [await readiness.ask(), await readiness.ask()]

    assert asyncio.run(ask_twice()) == ["", ""]
    assert (told, readiness.engine) == (["vllm"], "vllm")
