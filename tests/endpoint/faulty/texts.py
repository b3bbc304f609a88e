"""Servers that leave in the text what belongs elsewhere."""

import json
import re
from dataclasses import replace

from tests.endpoint.faulty.registry import as_content, fault, forced
from tests.endpoint.standin import (
    Call,
    Json,
    Reply,
    Server,
    native_text,
)


@fault("markers-leaked")
class NoParser(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        return as_content(reply, native_text(reply)) if reply.calls else reply


@fault("markers-leaked")
class NoParserInStreams(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        leaks = reply.calls and body.get("stream")
        return as_content(reply, native_text(reply)) if leaks else reply


@fault("markers-leaked")
class CallsInTheReasoning(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        if not reply.calls:
            return reply
        return replace(as_content(reply, ""), reasoning=native_text(reply))


@fault("markers-leaked")
class MarkerInTheName(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        calls = super().calls(body, orders)
        return tuple(replace(call, name=f"<|tool_call_begin|>{call.name}") for call in calls)


@fault("markers-stripped")
class SpecialTokensSkipped(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        if not reply.calls:
            return reply
        return as_content(reply, re.sub(r"<\|[a-z_]+\|>", "", native_text(reply)))


@fault("other-format")
class KimiK3(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        calls = "".join(f"<|open|>{c.name}<|sep|>{c.arguments}<|close|>" for c in reply.calls)
        return as_content(reply, calls) if calls else reply


@fault("end-marker-leaked")
class EndOfTurnShown(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        if reply.calls or reply.reason == "length":
            return reply
        return replace(reply, content=f"{reply.content}<|im_end|>")


@fault("thoughts-in-content")
class NoReasoningParser(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        if not reply.reasoning:
            return reply
        return replace(reply, reasoning="", content=f"{reply.reasoning}</think>{reply.content}")


@fault("content-in-reasoning")
class ReasoningParserWithoutThoughts(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        return replace(reply, reasoning=reply.reasoning + reply.content, content="")


@fault("call-as-json-text")
class CallsAsJsonText(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        if not reply.calls or reply.reason == "length" or forced(body):
            return reply
        calls = [{"name": c.name, "arguments": json.loads(c.arguments)} for c in reply.calls]
        return as_content(reply, "```json\n" + json.dumps(calls) + "\n```")


@fault("forced-call-as-text")
class ForcedCallsAsBareJson(Server):
    """vLLM#43155."""

    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        if not forced(body):
            return reply
        if body["tool_choice"] == "required":
            calls = [{"name": c.name, "parameters": json.loads(c.arguments)} for c in reply.calls]
            return as_content(reply, json.dumps(calls))
        return as_content(reply, reply.calls[0].arguments)


@fault("characters-damaged")
class BrokenCharacters(Server):
    def pieces(self, text: str) -> list[str]:
        return [
            re.sub(r"[\U00010000-\U0010ffff]", "\ufffd", piece) for piece in super().pieces(text)
        ]
