"""Whatever split a server made of a text, an ordinary client gets what `parse` reads.

Every transcript, in every shape that servers make of it, cut in four ways, streamed and whole, over
real sockets and put together by OpenAI's own client. That is about 10,000 exchanges: a daily run
takes a sample, and all of them run under `make test-all`. An upstream that answers in one piece has
nothing to cut, so such an answer is one exchange.

What an option tells the parser, a request says in its own way: `form`, `name` and `max_calls` are
a tool_choice and `parallel_tool_calls`. The shape "stripped" has no marker in its text: the server
drops them, and gives the ids of its tokens. Spellings that have no token (row 6) stay text.
"""

import asyncio
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.lib.streaming.chat import ChatCompletionStreamState

from k2compat.gateway.options import FAMILY_MARKER_IDS
from k2compat.toolcalls import Message, parse
from k2compat.toolcalls.markers import TOOL_MARKERS
from tests.gateway.servers import DONE, Upstream, chunk, completion, event, gateway
from tests.support.amount import sampled
from tests.toolcalls.split.shapes import Answer, deltas, shapes, what_is_said
from tests.toolcalls.transcripts import (
    TEXT_TOKEN,
    Transcript,
    at_markers,
    cut,
    read_tokens,
    transcripts,
)

STRIPPED = "stripped"
IDS = {marker: token_id for token_id, marker in FAMILY_MARKER_IDS.items()}
SAMPLE = 47
SIZES = (1, 3, 17, 10_000)
BATCHES = 16


class Case(NamedTuple):
    transcript: Transcript
    shape: str
    answer: Answer
    size: int
    stream: bool
    expected: Message

    @property
    def settings(self) -> dict[str, Any]:
        """The gateway's settings for it."""
        options = self.transcript.options
        made = {"reasoning": options.get("reasoning", "off")}
        if self.shape == STRIPPED:
            made |= {"engine": "vllm", "token_ids": "on"}
        return made | {name: options[name] for name in ("recover_stripped",) if name in options}

    def __str__(self) -> str:
        form = "stream" if self.stream else "whole"
        return f"{self.transcript.name}, {self.shape}, {self.size}, {form}"


def cases() -> Iterator[Case]:
    for transcript in transcripts():
        for shape, answer, expected in answers(transcript):
            for stream in (False, True):
                # Of a server that gives token ids the gateway asks a stream in any case.
                for size in SIZES if stream or shape == STRIPPED else SIZES[-1:]:
                    yield Case(transcript, shape, answer, size, stream, expected)


def answers(transcript: Transcript) -> Iterator[tuple[str, Answer, Message]]:
    """The shapes of a transcript, each with the message that a client should get."""
    options = dict(transcript.options)
    if options.pop("keep_text_after_calls", None) or asked_of(options) is None:
        return  # no request says that
    if transcript.token_ids != "only":
        expected = parse(transcript.text, **options)
        made = shapes(transcript.text, options, expected)
        # A constrained engine's text is not what its native calls would be made of.
        kept = ["raw"] if options.keys() & {"form", "max_calls", "recover_stripped"} else list(made)
        yield from ((shape, made[shape], expected) for shape in kept)
    if transcript.token_ids != "never" and "form" not in options:
        message = read_tokens(tokens_of(transcript), **options).message
        yield STRIPPED, Answer(transcript.text, None, [], "stop"), message


def tokens_of(transcript: Transcript) -> Iterator[str]:
    """The markers of a transcript, and what lies between them."""
    reasoning = transcript.options.get("reasoning", "off") != "off"
    return at_markers(transcript.text, reasoning=reasoning)


def asked_of(options: dict[str, Any]) -> dict[str, Any] | None:
    """The fields of a request that says what the options say; None where none does."""
    match options.get("form", "markers"), options.get("name"), options.get("max_calls"):
        case "markers", None, None:
            return {}
        case "markers", None, 0:
            return {"tool_choice": "none"}
        case "calls", None, None | 1 as calls:
            choice: Any = "required"
        case "arguments", str(name), None | 1 as calls:
            choice = {"type": "function", "function": {"name": name}}
        case "markers", None, 1:
            return {"parallel_tool_calls": False}
        case _:
            return None
    return {"tool_choice": choice} | ({"parallel_tool_calls": False} if calls else {})


ALL = list(cases())
# Of each shape, so that none is left out, however few cases it has.
CASES = [
    case
    for shape in dict.fromkeys(case.shape for case in ALL)
    for case in sampled((case for case in ALL if case.shape == shape), SAMPLE)
]


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
    asked = asked_of(case.transcript.options) or {}
    return {"model": "kimi-k2", "messages": messages} | ({"tools": tools} if tools else {}) | asked


async def answer_of(case: Case, request: web.Request) -> web.StreamResponse:
    answer = case.answer
    if not (await request.json()).get("stream"):
        message: dict[str, Any] = {"content": answer.content, "reasoning_content": answer.reasoning}
        message |= {"tool_calls": answer.tool_calls} if answer.tool_calls else {}
        return web.json_response(completion(message, answer.finish_reason))
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    if case.shape == STRIPPED:
        events = list(stripped(case))
    else:
        pieces = deltas(answer, case.size)
        events = [event(chunk(delta)) for delta in pieces]
    for at in range(0, len(events), 5):
        await response.write(b"".join(events[at : at + 5]))
    await response.write(event(chunk(None, answer.finish_reason)) + DONE)
    return response


def stripped(case: Case) -> Iterator[bytes]:
    """Each token an event: a marker has no text, and all tokens have ids."""
    for token in tokens_of(case.transcript):
        if token in IDS:
            yield event(chunk({"content": ""}, token_ids=[IDS[token]]))
        else:
            for piece in cut(token, case.size):
                yield event(chunk({"content": piece}, token_ids=[TEXT_TOKEN]))


def official_client(served: Any, connections: DefaultAsyncHttpxClient) -> AsyncOpenAI:
    """OpenAI's client, which raises where an answer or a chunk is not as its API has it.

    The check takes less time than the objects that the client builds without it.
    """
    return AsyncOpenAI(
        base_url=f"{served.url}/v1",
        api_key="k",
        max_retries=0,
        http_client=connections,
        _strict_response_validation=True,
    )


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
        # Each client of its own would read the certificates' store again.
        async with upstream.serve() as url, DefaultAsyncHttpxClient() as connections:
            mine = sorted(CASES[batch::BATCHES], key=lambda case: str(case.settings))
            for _, group in groupby(mine, key=lambda case: str(case.settings)):
                alike = list(group)
                async with gateway(url, **alike[0].settings) as served:
                    client = official_client(served, connections)
                    for case in alike:
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
    assert len(ALL) > 9_000
    assert {case.shape for case in CASES} == {case.shape for case in ALL}
    assert {case.shape for case in ALL} >= {"raw", "native", "leaked in reasoning", STRIPPED}
