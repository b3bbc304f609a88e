"""Clients of the APIs that the gateway does not serve yet: their errors show who serves them."""

import asyncio

import anthropic
import openai
import pytest

from tests.gateway.servers import Upstream, both
from tests.gateway.support import USER

WHO = "vLLM, SGLang and llama.cpp serve"


def test_anthropic_s_client_shows_who_serves_its_api() -> None:
    async def session() -> None:
        async with (
            both(Upstream()) as (served, _),
            anthropic.AsyncAnthropic(base_url=served.url, api_key="k", max_retries=0) as client,
        ):
            with pytest.raises(anthropic.NotFoundError, match=f"{WHO} /v1/messages"):
                await client.messages.create(model="kimi", max_tokens=9, messages=[USER])
            with pytest.raises(anthropic.NotFoundError, match=f"{WHO} /v1/messages"):
                await client.messages.count_tokens(model="kimi", messages=[USER])

    asyncio.run(session())


def test_openai_s_client_shows_who_serves_responses() -> None:
    async def session() -> None:
        async with (
            both(Upstream()) as (served, _),
            openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0) as client,
        ):
            with pytest.raises(openai.NotFoundError, match=f"{WHO} /v1/responses"):
                await client.responses.create(model="kimi", input="hi")

    asyncio.run(session())
