"""Thoughts of open tool loops, kept for clients that drop them."""

import asyncio
import json
from typing import Any

import pytest

from k2compat.gateway import Exchange, Options
from k2compat.gateway.thought_memory import Recall, ThoughtMemory
from tests.gateway.servers import DONE, Upstream, both, completion, deltas, whole
from tests.gateway.support import USER, assistant, call, request, result
from tests.gateway.test_promises import CHAT
from tests.toolcalls.transcripts import call as written_call
from tests.toolcalls.transcripts import section

TEXT = "<think>It rains.</think>Hi." + section(
    written_call("functions.weather:0", {"a": 1, "b": 2})
)


def ask(body: Any, recall: Recall, text: str = TEXT) -> Exchange:
    """One exchange whose answer is the text."""
    made = Exchange(json.dumps(body).encode(), Options(), answer_id="x", created=0, recall=recall)
    made.begin(200, "text/event-stream")
    made.receive(b"".join(deltas({"content": text})) + DONE)
    return made


def restored(made: Exchange) -> list[Any]:
    messages = json.loads(made.upstream_body)["messages"]
    return [each.get("reasoning_content") for each in messages if each["role"] == "assistant"]


def later(arguments: Any = '{"a": 1, "b": 2}', content: Any = "Hi.", **fields: Any) -> Any:
    """The conversation as the client sends it back."""
    answer = assistant(call("call_x", "weather", arguments), content=content, **fields)
    return request(USER, answer, result("call_x"))


@pytest.fixture
def recall() -> Recall:
    return Recall(ThoughtMemory(10_000), b"key", 0.0)


@pytest.mark.parametrize(
    "body",
    [
        later(),
        later('{"b":2,"a":1}'),
        later({"b": 2, "a": 1}),
        later(reasoning_content=None),
        later(reasoning_content=""),
        later(content=[{"type": "text", "text": "Hi."}]),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_they_come_back_however_the_client_writes_the_turn(
    recall: Recall, body: Any, stream: bool
) -> None:
    ask(request(USER, stream=stream), recall)
    made = ask(body, recall)
    assert restored(made) == ["It rains."]
    assert {note.code for note in made.prepared.notes} >= {"history-thoughts-restored"}


@pytest.mark.parametrize(
    "body",
    [
        later('{"a": 2, "b": 2}'),
        later('{"a": 1'),
        later("[1]"),
        later(content="Other."),
        request({"role": "user", "content": "?"}, *later()["messages"][1:]),
    ],
)
def test_another_turn_gets_none(recall: Recall, body: Any) -> None:
    ask(request(USER), recall)
    assert restored(ask(body, recall)) == [None]


def test_another_client_gets_none(recall: Recall) -> None:
    ask(request(USER), recall)
    assert restored(ask(later(), recall._replace(client=b"other"))) == [None]


def test_thoughts_that_the_client_sends_stay(recall: Recall) -> None:
    ask(request(USER), recall)
    assert restored(ask(later(reasoning_content="Own."), recall)) == ["Own."]


def test_they_expire(recall: Recall) -> None:
    ask(request(USER), recall)
    assert restored(ask(later(), recall._replace(now=3599.0))) == ["It rains."]
    assert restored(ask(later(), recall._replace(now=3600.0))) == [None]


def test_the_oldest_go_where_the_size_is_reached() -> None:
    memory = ThoughtMemory(1000)
    for number in range(10):
        memory.put(bytes([number]), "x" * 100, 0)
        memory.put(bytes([number]), "x" * 100, 0)
    kept = [number for number in range(10) if memory.get(bytes([number]), 0)]
    assert kept == [7, 8, 9]


@pytest.mark.parametrize(
    "text", ["<think>It rains.</think>Hi.", section(written_call("f:0", "{}"))]
)
def test_answers_without_calls_or_thoughts_are_not_kept(recall: Recall, text: str) -> None:
    ask(request(USER), recall, text)
    assert recall.memory._size == 0


def test_the_step_can_be_skipped(recall: Recall) -> None:
    options = Options(skip=frozenset({"remember-thoughts"}))
    raw = json.dumps(request(USER)).encode()
    made = Exchange(raw, options, answer_id="x", created=0, recall=recall)
    made.begin(200, "application/json")
    made.receive(json.dumps(completion({"content": TEXT})).encode())
    made.finish()
    assert recall.memory._size == 0


def test_the_server_keeps_them_for_each_key() -> None:
    async def session() -> None:
        upstream = Upstream(whole(TEXT))
        async with both(upstream, remember_thoughts=10_000) as (_, client):
            for key, body in (("a", request(USER)), ("a", later()), ("b", later())):
                headers = {"Authorization": f"Bearer {key}"}
                async with client.post(CHAT, json=body, headers=headers) as response:
                    assert response.status == 200
        thoughts = [body["messages"][1].get("reasoning_content") for body in upstream.bodies[1:]]
        assert thoughts == ["It rains.", None]

    asyncio.run(session())
