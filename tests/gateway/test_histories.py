"""What reaches the upstream of random histories is native, dense and paired."""

import copy
import json
import random
from typing import Any

from k2compat.gateway.request import write_body
from tests.gateway.support import USER, assistant, call, noted, prepared, request, result
from tests.support.amount import EVERYTHING

HISTORIES = 10_000 if EVERYTHING else 1_000
NAMES = ("Read", "Bash", "get_weather", "mcp__fs.list", "天气", "a-b")


def an_id(chance: random.Random, name: str, number: int) -> str:
    """An id as clients and engines make them."""
    hexadecimal = f"{chance.getrandbits(96):024x}"
    return chance.choice(
        [
            f"call_{hexadecimal}",
            f"chatcmpl-tool-{hexadecimal}",
            f"toolu_{hexadecimal}",
            f"{hexadecimal[:8]}-{hexadecimal[8:12]}-4{hexadecimal[12:15]}-a{hexadecimal[15:18]}-x",
            f"functions_{name}_{number}",
            f"functions.{name}:{number}",
            f"functions.{name}:0",
            "call_0",
            str(number),
            "",
        ]
    )


def a_history(chance: random.Random) -> list[Any]:
    """Turns with one to three calls, their results in any order, some doubled, some cut away."""
    messages: list[Any] = [USER]
    for turn in range(chance.randint(1, 4)):
        names = chance.choices(NAMES, k=chance.randint(1, 3))
        calls = [call(an_id(chance, name, turn), name) for name in names]
        for each in calls:
            each["x_foreign"] = {"kept": [turn]}
        messages.append(assistant(*calls, x_foreign="kept", refusal=None))
        results = [result(each["id"], f"result {turn}", x_foreign=turn) for each in calls]
        chance.shuffle(results)
        messages += results
    if chance.random() < 0.3:
        messages = messages[chance.randint(0, len(messages) - 1) :]
    return messages or [USER]


def without_ids(messages: list[Any]) -> list[Any]:
    messages = copy.deepcopy(messages)
    for message in messages:
        message.pop("tool_call_id", None)
        message["content"] = message["content"] or ""
        for each in message.get("tool_calls", ()):
            del each["id"]
    return messages


def test_ids_are_native_dense_and_paired_and_nothing_else_changes() -> None:
    chance = random.Random(20261130)
    for _ in range(HISTORIES):
        body = request(*a_history(chance), x_foreign={"seed": chance.random()})
        is_cut = body["messages"][0] != USER
        answer = prepared(body)
        sent = json.loads(write_body(answer))
        numbers: list[int] = []
        known: set[str] = set()
        for message in sent["messages"]:
            for each in message.get("tool_calls", ()):
                name, _, number = each["id"].removeprefix("functions.").rpartition(":")
                assert name == each["function"]["name"]
                numbers.append(int(number))
                known.add(each["id"])
            if message["role"] == "tool" and message["tool_call_id"] not in known:
                assert is_cut
                native = message["tool_call_id"].startswith("functions.")
                numbers += [int(message["tool_call_id"].rpartition(":")[2])] if native else []
        # A result whose call was cut away takes a number of its own where its id names the tool.
        assert sorted(set(numbers)) == list(range(answer.first_index))
        if not is_cut:
            assert "history-results-unmatched" not in noted(answer)
        assert without_ids(sent["messages"]) == without_ids(body["messages"])
        assert {**sent, "messages": None} == {**body, "messages": None}
