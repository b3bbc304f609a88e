"""Faulty servers, each with one fault of servers in the field, and the code that names it."""

import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tests.endpoint.standin import (
    NATIVE_ID,
    Call,
    Json,
    Reply,
    Response,
    Server,
    calls_before,
    event,
    native_text,
    text_of,
    tokens_in,
)

ZOO: dict[str, tuple[type[Server], str]] = {}
"""By name: the server, and the code of its only cause."""


def fault(code: str) -> Callable[[type[Server]], type[Server]]:
    def add(server: type[Server]) -> type[Server]:
        ZOO[server.__name__] = (server, code)
        return server

    return add


def as_content(reply: Reply, text: str) -> Reply:
    return replace(reply, content=text, calls=(), reason=text_reason(reply))


def text_reason(reply: Reply) -> str:
    return "stop" if reply.reason == "tool_calls" else reply.reason


# Leaks.


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


# Ids.


@fault("call-id-foreign")
class HexIds(Server):
    def call_id(self, name: str, number: int) -> str:
        return f"call_{abs(hash((name, number, len(self.seen)))):x}"


@fault("call-id-foreign")
class IdsWithoutPrefix(Server):
    def call_id(self, name: str, number: int) -> str:
        return f"{name}:{number}"


@fault("call-id-restarts")
class IdsRestart(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        before = calls_before(body)
        return tuple(
            replace(call, id=self.call_id(call.name, number))
            for number, call in enumerate(super().calls(body, orders))
            if before >= 0
        )


@fault("call-id-restarts")
class AllIdsAreZero(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        first = calls_before(body)
        calls = super().calls(body, orders)
        return tuple(replace(call, id=self.call_id(call.name, first)) for call in calls)


@fault("history-ids-not-renamed")
class StopsAtForeignIds(Server):
    """MoonshotAI/Kimi-K2#128."""

    def free_reply(self, body: Json) -> Reply:
        ids = [call["id"] for m in body["messages"] for call in m.get("tool_calls") or ()]
        if all(map(NATIVE_ID.fullmatch, ids)):
            return super().free_reply(body)
        return Reply("It is sunny.")


# Calls.


@fault("call-duplicated")
class CallsTwice(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        calls = super().calls(body, orders)
        again = (replace(calls[-1], id=calls[-1].id + "9"),) if calls else ()
        return calls + (again if body.get("parallel_tool_calls") is not False else ())


@fault("tool-undeclared")
class PrefixInTheName(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        if isinstance(body.get("tool_choice"), dict):
            return super().calls(body, orders)
        return tuple(
            replace(call, name=f"functions.{call.name}", id=f"functions.{call.id}")
            for call in super().calls(body, orders)
        )


@fault("arguments-cut")
class ArgumentsOf8kB(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        return tuple(
            replace(call, arguments=f'{call.arguments[:8000]}"}}')
            if len(call.arguments) > 8192
            else call
            for call in super().calls(body, orders)
        )


@fault("arguments-not-object")
class ArgumentsBreakOff(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        calls = super().calls(body, orders)
        return tuple(replace(call, arguments=call.arguments[:8192]) for call in calls)


@fault("arguments-not-object")
class BlankArguments(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        return tuple(
            replace(call, arguments="" if call.arguments == "{}" else call.arguments)
            for call in super().calls(body, orders)
        )


@fault("arguments-not-object")
class ArgumentsEncodedTwice(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        calls = super().calls(body, orders)
        return tuple(replace(call, arguments=json.dumps(call.arguments)) for call in calls)


@fault("arguments-nested-as-text")
class NestedAsText(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        return tuple(
            replace(call, arguments=json.dumps(flat(json.loads(call.arguments))))
            for call in super().calls(body, orders)
        )


@fault("arguments-off-schema")
class NumbersAsText(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        return tuple(
            replace(call, arguments=call.arguments.replace("12.5", '"12.5"'))
            for call in super().calls(body, orders)
        )


@fault("arguments-not-text")
class ArgumentsAsObject(Server):
    def whole_call(self, call: Call) -> Json:
        shown = super().whole_call(call)
        with suppress(ValueError):
            shown["function"]["arguments"] = json.loads(call.arguments)
        return shown


@fault("call-type-missing")
class NoType(Server):
    def whole_call(self, call: Call) -> Json:
        return {k: v for k, v in super().whole_call(call).items() if k != "type"}

    def call_head(self, index: int, call: Call) -> Json:
        return {k: v for k, v in super().call_head(index, call).items() if k != "type"}


# Limits and choices.


@fault("cut-sold-as-whole")
class CutSoldAsWhole(Server):
    """router-for-me/CLIProxyAPI#5836."""

    def limited(self, reply: Reply, body: Json) -> Reply:
        cut = super().limited(reply, body)
        return replace(cut, reason="tool_calls") if cut.calls else cut


@fault("cut-sold-as-whole")
class CutCallsDropped(Server):
    def limited(self, reply: Reply, body: Json) -> Reply:
        cut = super().limited(reply, body)
        is_cut = cut.calls and cut.reason == "length"
        return Reply(content="x " * 40, reason="stop") if is_cut else cut


@fault("max-tokens-ignored")
class NoLimit(Server):
    def reply(self, body: Json) -> Reply:
        reply = self.free_reply(body)
        return replace(reply, written=self.size(reply))


@fault("tool-choice-none-ignored")
class NoneIgnored(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        choice = body.get("tool_choice")
        return super().calls(
            {**body, "tool_choice": "auto" if choice == "none" else choice}, orders
        )


@fault("tool-choice-required-ignored")
class RequiredLosesTheCall(Server):
    def free_reply(self, body: Json) -> Reply:
        if body.get("tool_choice") == "required":
            return Reply("I do not need a tool.")
        return super().free_reply(body)


@fault("tool-choice-named-ignored")
class NamedIgnored(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        return super().calls({**body, "tool_choice": choice_without_name(body)}, orders)


@fault("tool-choice-named-ignored")
class NamedLosesTheCall(Server):
    def free_reply(self, body: Json) -> Reply:
        if isinstance(body.get("tool_choice"), dict):
            return Reply("I do not need a tool.")
        return super().free_reply(body)


@fault("parallel-calls-not-limited")
class ParallelNotLimited(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        return super().calls({**body, "parallel_tool_calls": True}, orders)


@fault("thinking-not-off")
class AlwaysThinks(Server):
    def free_reply(self, body: Json) -> Reply:
        reply = super().free_reply(body)
        return reply if reply.calls else replace(reply, reasoning="Let me see.")


# Ends.


@fault("finish-reason-wrong")
class StopBesideCalls(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        return replace(reply, reason="stop") if reply.reason == "tool_calls" else reply


@fault("finish-reason-wrong")
class ToolCallsWithoutCalls(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        return replace(reply, reason="tool_calls") if reply.reason == "stop" else reply


@fault("finish-reason-missing")
class NoFinishReason(Server):
    def end_chunks(self, reply: Reply) -> list[Json]:
        return []


@fault("finish-reason-missing")
class NullFinishReason(Server):
    def whole(self, body: Json, reply: Reply, usage: Json) -> Json:
        answer = super().whole(body, reply, usage)
        answer["choices"][0]["finish_reason"] = None
        return answer


@fault("stream-finish-repeated")
class TwoFinishReasons(Server):
    def end_chunks(self, reply: Reply) -> list[Json]:
        return [self.chunk({}, reply.reason), self.chunk({}, "stop")]


# Streams.


@fault("stream-done-missing")
class NoDone(Server):
    def events(self, chunks: list[Json]) -> bytes:
        return b"".join(map(event, chunks))


@fault("stream-role-repeated")
class RoleInEachDelta(Server):
    def chunk(self, delta: Json, reason: str | None = None) -> Json:
        return super().chunk({"role": "assistant", **delta}, reason)


@fault("role-wrong")
class NoRole(Server):
    def chunk(self, delta: Json, reason: str | None = None) -> Json:
        return super().chunk({k: v for k, v in delta.items() if k != "role"}, reason)


@fault("role-wrong")
class RoleModel(Server):
    def whole(self, body: Json, reply: Reply, usage: Json) -> Json:
        answer = super().whole(body, reply, usage)
        answer["choices"][0]["message"]["role"] = "model"
        return answer


@fault("stream-index-wrong")
class IndexFromOne(Server):
    def call_deltas(self, index: int, call: Call) -> Iterable[Json]:
        return super().call_deltas(index + 1, call)


@fault("stream-index-wrong")
class IndexAlwaysZero(Server):
    def call_deltas(self, index: int, call: Call) -> Iterable[Json]:
        return super().call_deltas(0, call)


@fault("stream-index-wrong")
class NoIndex(Server):
    def call_deltas(self, index: int, call: Call) -> Iterable[Json]:
        for delta in super().call_deltas(index, call):
            del delta["tool_calls"][0]["index"]
            yield delta


@fault("stream-call-head-repeated")
class NameInEachDelta(Server):
    def call_deltas(self, index: int, call: Call) -> Iterable[Json]:
        for delta in super().call_deltas(index, call):
            delta["tool_calls"][0]["function"]["name"] = call.name
            yield delta


@fault("stream-held-back")
class CallsAfterTheLastByte(Server):
    def pieces(self, text: str) -> list[str]:
        return [text] if text else []


@fault("stream-id-changes")
class IdPerChunk(Server):
    def head(self, number: int) -> Json:
        return {**super().head(number), "id": f"chatcmpl-{number}"}


@fault("stream-data-after-end")
class FinishBeforeTheCalls(Server):
    def chunks(self, body: Json, reply: Reply, usage: Json) -> list[Json]:
        chunks = super().chunks(body, reply, usage)
        ends = [c for c in chunks if c["choices"] and c["choices"][0]["finish_reason"]]
        rest = [chunk for chunk in chunks if chunk not in ends]
        return [rest[0], *ends, *rest[1:]]


@fault("stream-data-after-end")
class EventsAfterDone(Server):
    def events(self, chunks: list[Json]) -> bytes:
        return super().events(chunks) + event({"cost": 0})


@fault("stream-event-invalid")
class LogInTheStream(Server):
    def events(self, chunks: list[Json]) -> bytes:
        first, *rest = map(event, chunks)
        return b"".join([first, b"data: INFO 12-01 request done\n\n", *rest, b"data: [DONE]\n\n"])


@fault("stream-not-events")
class StreamIgnored(Server):
    def handle(self, raw: bytes) -> Response:
        return super().handle(json.dumps({**json.loads(raw), "stream": False}).encode())


@fault("stream-differs")
class StreamLosesCalls(Server):
    def reply(self, body: Json) -> Reply:
        reply = super().reply(body)
        if body.get("stream") and len(reply.calls) > 1:
            return replace(reply, calls=reply.calls[:1])
        return reply


@fault("answer-cut")
class ConnectionBreaks(Server):
    def stream_response(self, chunks: list[Json]) -> Response:
        response = super().stream_response(chunks)
        middle = len(response.body) // 2
        return replace(response, body=response.body[:middle], is_cut=True)


# Statuses.


@fault("bad-request-not-refused")
class WrongRequestsAre500(Server):
    def refusal(self, message: str) -> Response:
        return Response(500, body=b"Internal Server Error", content_type="text/plain")


@fault("request-refused")
class NoParserNoTools(Server):
    """vLLM without --enable-auto-tool-choice."""

    def handle(self, raw: bytes) -> Response:
        body = json.loads(raw)
        if body.get("tools") and body.get("tool_choice", "auto") == "auto":
            return self.refusal('"auto" tool choice requires --tool-call-parser to be set')
        return super().handle(raw)


@fault("server-failed")
class FailsOnQuotes(Server):
    def handle(self, raw: bytes) -> Response:
        if "晴" in raw.decode("unicode_escape") or "\\u6674" in raw.decode():
            return Response(500, body=b'{"detail": "does not match the peg-native format"}')
        return super().handle(raw)


@fault("server-failed")
class ErrorInTheStream(Server):
    def stream_response(self, chunks: list[Json]) -> Response:
        response = super().stream_response(chunks)
        if b"tool_calls" in response.body:
            response.body = event({"error": {"message": "out of memory", "code": 500}})
        return response


@fault("answer-invalid")
class AnotherApi(Server):
    def whole(self, body: Json, reply: Reply, usage: Json) -> Json:
        return {"content": reply.content, "usage": usage}


# Token counts.


@fault("usage-wrong")
class SumIsWrong(Server):
    def usage(self, body: Json, reply: Reply) -> Json:
        return {**super().usage(body, reply), "total_tokens": 7}


@fault("usage-wrong")
class PromptIsConstant(Server):
    def usage(self, body: Json, reply: Reply) -> Json:
        usage = super().usage(body, reply)
        return {**usage, "prompt_tokens": 9, "total_tokens": 9 + usage["completion_tokens"]}


@fault("usage-wrong")
class StreamCountsChunks(Server):
    def usage(self, body: Json, reply: Reply) -> Json:
        usage = super().usage(body, reply)
        if body.get("stream"):
            usage["prompt_tokens"] += 1
            usage["total_tokens"] += 1
        return usage


@fault("usage-missing")
class NoUsageInStreams(Server):
    def chunks(self, body: Json, reply: Reply, usage: Json) -> list[Json]:
        return super().chunks({**body, "stream_options": None}, reply, usage)


@fault("tools-as-json")
class ToolsAsJson(Server):
    def tools_text(self, tools: list[Json]) -> str:
        return json.dumps(tools)


@fault("tools-not-in-prompt")
class ToolsDropped(Server):
    def tools_text(self, tools: list[Json]) -> str:
        return ""

    def free_reply(self, body: Json) -> Reply:
        return super().free_reply(body) if forced(body) else Reply("I have no tools.")


@fault("marker-text-acts")
class MarkersAct(Server):
    def content_text(self, content: Any) -> str:
        return re.sub(r"<\|(im_end|tool_calls_section_end)\|>", "X", text_of(content))


@fault("content-list-printed")
class ListsPrinted(Server):
    def content_text(self, content: Any) -> str:
        return str(content) if isinstance(content, list) else text_of(content)


@fault("content-null-printed")
class NullContentPrinted(Server):
    def content_text(self, content: Any) -> str:
        return "None" if content is None else text_of(content)


@fault("thought-null-printed")
class NullThoughtPrinted(Server):
    def thought_text(self, message: Json) -> str:
        thought = message.get("reasoning_content", "")
        return "None" if thought is None else str(thought)


@fault("thoughts-dropped")
class ThoughtsDropped(Server):
    def thought_text(self, message: Json) -> str:
        return ""


def forced(body: Json) -> bool:
    return body.get("tool_choice") == "required" or isinstance(body.get("tool_choice"), dict)


def choice_without_name(body: Json) -> Any:
    choice = body.get("tool_choice")
    return "required" if isinstance(choice, dict) else choice


def flat(arguments: Json) -> Json:
    return {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in arguments.items()}


assert tokens_in("abc") == 1
