"""Event streams as no server should send them: cut, damaged, of wrong types, out of order."""

import json
import random
from typing import Any

from k2compat.gateway import Exchange, Options
from tests.gateway.servers import DONE, chunk, completion, event
from tests.gateway.support import request, tool
from tests.toolcalls.transcripts import call, section

TEXTS = [
    "Hi. ",
    "<think>",
    "</think>",
    "<|tool_calls_sec",
    section(call("functions.weather:0", {"city": "Paris"})),
    section(call("weather", '{"a": "\\ud800')),
    "<|im_end|>",
    "\u2060",
    "\0",
    "\ud800",
    "",
]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    99_999_999,
    1e300,
    "",
    "x",
    [],
    {},
    [[]],
    {"x": 1},
    [None],
    {"type": "text", "text": "x"},
    [{"type": "text", "text": "x"}],
]
LINES = [
    b": ping\n\n",
    b"event: error\n",
    b"event: message\n",
    b"id: 1\nretry: x\n",
    b"data: [DONE]",
    b"data:\n\n",
    b"data: {",
    b"data: null\n\n",
    b"data: " + b"[" * 3000 + b"]" * 3000 + b"\n\n",
    b"data: " + b'{"choices":' * 50 + b"\n\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\r",
    b"\r\n\r\n",
    b"\n",
    b"\x1f\x8b\x08\0gzip",
    b'error: {"message": "x"}\n\n',
    b'data: {"error": {"code": 500}}\n\n',
    b'data: {"error": "x"}\n\n',
    DONE,
]
OPTIONS = [
    Options(),
    Options(engine="llama.cpp", reasoning="prefilled"),
    Options(engine="vllm", token_ids="on", reasoning_field="both"),
    Options(reasoning="off", event_limit=4000, answer_limit=20_000),
]


def a_call(chance: random.Random) -> Any:
    """A native call's delta, of any shape."""
    if chance.random() < 0.2:
        return chance.choice(ODD)
    function: Any = {"name": "weather", "arguments": '{"city":'}
    if chance.random() < 0.5:
        function[chance.choice(["name", "arguments"])] = chance.choice(ODD)
    made: Any = {"index": chance.choice([0, 1, 99_999_999, -1]), "id": "call_1"}
    made["function"] = function if chance.random() < 0.9 else chance.choice(ODD)
    if chance.random() < 0.3:
        made[chance.choice(["index", "id", "type"])] = chance.choice(ODD)
    return made


def a_delta(chance: random.Random) -> Any:
    """A delta of any shape."""
    if chance.random() < 0.1:
        return chance.choice(ODD)
    delta: Any = {"role": "assistant"} if chance.random() < 0.3 else {}
    for name in ("content", "reasoning_content", "reasoning"):
        if chance.random() < 0.4:
            delta[name] = chance.choice(TEXTS if chance.random() < 0.8 else ODD)
    if chance.random() < 0.3:
        calls = [a_call(chance) for _ in range(chance.randint(0, 3))]
        delta["tool_calls"] = calls if chance.random() < 0.9 else chance.choice(ODD)
    return delta


def an_event(chance: random.Random) -> bytes:
    """An event, well-formed or not."""
    if chance.random() < 0.25:
        return chance.choice(LINES)
    made = chunk(a_delta(chance), chance.choice([None, None, None, "stop", "length", ""]))
    choice = made["choices"][0]
    if chance.random() < 0.2:
        choice[chance.choice(["index", "finish_reason", "logprobs", "token_ids"])] = chance.choice(
            ODD
        )
    if chance.random() < 0.2:
        choice["logprobs"] = {"content": [{"id": 163597, "token": ""}, chance.choice(ODD)]}
        choice["token_ids"] = [163595, 163597, chance.choice(ODD)]
    if chance.random() < 0.1:
        names = ["choices", "id", "model", "created", "usage", "system_fingerprint"]
        made[chance.choice(names)] = chance.choice(ODD)
    raw = event(made)
    if chance.random() < 0.05:
        at = chance.randrange(len(raw))
        raw = raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]
    if chance.random() < 0.1:
        raw = raw.replace(b"\n", chance.choice([b"\r\n", b"\r"]))
    return raw


def a_body(chance: random.Random) -> tuple[str, bytes]:
    """A content type and a body."""
    if chance.random() < 0.8:
        events = [an_event(chance) for _ in range(chance.randint(0, 8))]
        return "text/event-stream", b"".join(events) + (DONE if chance.random() < 0.5 else b"")
    answer = completion({}, chance.choice(["stop", None]))
    answer["choices"][0]["message"] = a_delta(chance)
    if chance.random() < 0.3:
        answer[chance.choice(["choices", "id", "usage", "error"])] = chance.choice(ODD)
    raw = json.dumps(answer).encode()
    return "application/json", raw[: chance.randint(0, len(raw))] if chance.random() < 0.2 else raw


def a_request(chance: random.Random) -> Any:
    """A request whose answer is read in one of all ways."""
    content = "<|im_end|>" if chance.random() < 0.2 else "x"
    fields: Any = {"stream": chance.random() < 0.7, "n": chance.choice([None, 1, 2])}
    if chance.random() < 0.3:
        fields["tools"] = [tool()]
        fields["tool_choice"] = chance.choice(["none", "auto", "required"])
    if chance.random() < 0.2:
        fields |= {"parallel_tool_calls": False, "logprobs": True, "return_token_ids": True}
    if chance.random() < 0.2:
        fields["stream_options"] = {"include_usage": True}
    return request({"role": "user", "content": content}, **fields)


def check(seed: int) -> None:
    """One exchange: it never raises, and what the client gets is whole."""
    chance = random.Random(seed)
    raw = json.dumps(a_request(chance)).encode()
    made = Exchange(raw, chance.choice(OPTIONS), answer_id="chatcmpl-own", created=1)
    kind, body = a_body(chance)
    pieces = [made.begin(200, kind)]
    size = chance.choice([1, 7, 100, 100_000])
    pieces += [made.receive(body[at : at + size]) for at in range(0, len(body), size)]
    pieces.append(made.finish(complete=chance.random() < 0.9))
    written = b"".join(pieces)
    assert made.done
    assert made.head is not None
    if not made.head.streams:
        value = json.loads(written)
        assert ("error" in value) == (made.error is not None)
        return
    *events, rest = written.decode().split("\n\n")
    assert rest == ""
    assert all(each.startswith("data: ") for each in events)
    assert (events[-1] == "data: [DONE]") == (made.error is None)
    for each in events[: len(events) - (made.error is None)]:
        json.loads(each[6:])
