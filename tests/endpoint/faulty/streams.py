"""Servers whose answers end or arrive wrongly."""

import json
from collections.abc import Iterable
from dataclasses import replace

from tests.endpoint.faulty.registry import fault
from tests.endpoint.standin import (
    Call,
    Json,
    Reply,
    Response,
    Server,
    event,
)


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
        if "晴" in json.dumps(json.loads(raw), ensure_ascii=False):
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
