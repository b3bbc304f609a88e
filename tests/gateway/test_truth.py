"""Whatever split a server made of a text, an ordinary client gets what `parse` reads.

Every transcript, in every shape that servers make of it, cut in four ways, streamed and whole, over
real sockets and put together by OpenAI's own client. That is some thousand exchanges: a daily run
takes a sample, and all of them run under `make test-all`.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from openai import AsyncOpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState

from k2compat.toolcalls import Message, parse
from k2compat.toolcalls.markers import TOOL_MARKERS
from tests.gateway.servers import DONE, Upstream, chunk, completion, event, gateway
from tests.support.amount import sampled
from tests.toolcalls.split.shapes import Answer, deltas, shapes, what_is_said
from tests.toolcalls.transcripts import Transcript, transcripts

SAMPLE = 23
SIZES = (1, 3, 17, 10_000)
BATCHES = 16


class Case(NamedTuple):
    transcript: Transcript
    shape: str
    answer: Answer
    size: int
    stream: bool
    expected: Message

    def __str__(self) -> str:
        form = "stream" if self.stream else "whole"
        return f"{self.transcript.name}, {self.shape}, {self.size}, {form}"


def cases() -> Iterator[Case]:
    for transcript in transcripts():
        options = dict(transcript.options)
        # These options are the parser's, not a request's.
        if options.pop("keep_text_after_calls", None) or transcript.token_ids == "only":
            continue
        if options.keys() - {"tools", "reasoning", "first_index"}:
            continue
        expected = parse(transcript.text, **options)
        made = shapes(transcript.text, options, expected)
        for shape, answer in made.items():
            for size in SIZES:
                for stream in (False, True):
                    yield Case(transcript, shape, answer, size, stream, expected)


ALL = list(cases())
CASES = list(sampled(ALL, SAMPLE))


def body_of(case: Case) -> dict[str, Any]:
    """A request to which the transcript may be the answer; earlier calls give `first_index`."""
    earlier = [
        {"id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for number in range(case.transcript.options.get("first_index", 0))
    ]
    messages: list[Any] = [{"role": "user", "content": "?"}]
    if earlier:
        messages.append({"role": "assistant", "content": "", "tool_calls": earlier})
    tools = case.transcript.options.get("tools")
    return {"model": "kimi-k2", "messages": messages} | ({"tools": tools} if tools else {})


async def answer_of(case: Case, request: web.Request) -> web.StreamResponse:
    answer = case.answer
    if not (await request.json()).get("stream"):
        message: dict[str, Any] = {"content": answer.content, "reasoning_content": answer.reasoning}
        message |= {"tool_calls": answer.tool_calls} if answer.tool_calls else {}
        return web.json_response(completion(message, answer.finish_reason))
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    pieces = deltas(answer, case.size)
    events = [event(chunk(delta)) for delta in pieces]
    for at in range(0, len(events), 5):
        await response.write(b"".join(events[at : at + 5]))
    await response.write(event(chunk(None, answer.finish_reason)) + DONE)
    return response


async def ask(client: AsyncOpenAI, case: Case) -> Any:
    """The choice as the official client has it."""
    body = body_of(case)
    if not case.stream:
        return (await client.chat.completions.create(**body)).choices[0]
    state = ChatCompletionStreamState()
    async for each in await client.chat.completions.create(**body, stream=True):
        state.handle_chunk(each)
    return state.current_completion_snapshot.choices[0]  # the final one raises where it was cut


def said(choice: Any) -> object:
    """What the client got, in the form of `what_is_said`; without whether a call is complete."""
    message = choice.message
    calls = [
        (call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()
    ]
    reasoning = getattr(message, "reasoning_content", None)
    reason = settled(calls, choice.finish_reason)
    return message.content or None, reasoning or None, calls, reason


def expected_of(case: Case) -> object:
    what: Any = what_is_said(case.expected)
    content, reasoning, calls, reason = what
    return content or None, reasoning or None, [call[:3] for call in calls], settled(calls, reason)


def settled(calls: Any, reason: str) -> str:
    """The reason; a call that the model closed itself is no cut, whole or not."""
    return "tool_calls" if calls and reason == "stop" else reason


def leaks(choice: Any) -> bool:
    texts = (choice.message.content or "", getattr(choice.message, "reasoning_content", "") or "")
    return any(marker in text for marker in TOOL_MARKERS for text in texts)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_client_s_message_is_what_parse_reads(batch: int) -> None:
    async def session() -> None:
        current: list[Case] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            return await answer_of(current[-1], request)

        upstream = Upstream(answer)
        async with upstream.serve() as url:
            for reasoning in ("off", "tagged", "prefilled"):
                async with (
                    gateway(url, reasoning=reasoning) as served,
                    AsyncOpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0) as client,
                ):
                    for case in CASES[batch::BATCHES]:
                        if case.transcript.options.get("reasoning", "off") == reasoning:
                            current.append(case)
                            choice = await ask(client, case)
                            assert said(choice) == expected_of(case), str(case)
                            assert not leaks(choice) or leaks_in_text(case), str(case)

    asyncio.run(session())


def leaks_in_text(case: Case) -> bool:
    """Whether `parse` itself keeps a marker as text."""
    text = f"{case.expected.content}{case.expected.reasoning}"
    return any(marker in text for marker in TOOL_MARKERS)


def test_the_matrix_is_as_large_as_it_says() -> None:
    assert len(ALL) > 3_000
    assert {case.shape for case in CASES} >= {"raw", "native", "split", "leaked in reasoning"}
