"""Servers whose model decides otherwise, and answers that never come."""

from dataclasses import replace

from tests.endpoint.faulty.registry import fault
from tests.endpoint.standin import Call, Json, Reply, Response, Server


@fault("call-not-made")
class ForgetsTheTime(Server):
    def free_reply(self, body: Json) -> Reply:
        reply = super().free_reply(body)
        is_time = [call.name for call in reply.calls] == ["get_time"]
        return Reply("It is noon.") if is_time else reply


@fault("call-not-as-asked")
class AnotherCity(Server):
    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        return tuple(
            replace(call, arguments=call.arguments.replace("Rome", "Milan"))
            for call in super().calls(body, orders)
        )


@fault("no-call-made")
class ThinksWithoutEnd(Server):
    """With tools it thinks until max_tokens are used."""

    def reply(self, body: Json) -> Reply:
        if not body.get("tools") or body.get("tool_choice") == "none":
            return super().reply(body)
        most = body["max_tokens"]
        return Reply(reasoning="Hm. " * (most // 2), reason="length", written=most)


@fault("option-refused")
class NoTemplateSwitches(Server):
    """An API before the engine that passes no field which it does not know."""

    def handle(self, raw: bytes) -> Response:
        if b"chat_template_kwargs" in raw:
            return self.refusal("Unrecognized request argument: chat_template_kwargs")
        return super().handle(raw)


@fault("answer-missing")
class DropsLongRequests(Server):
    """A proxy that closes the connection at 8 kB of body."""

    def handle(self, raw: bytes) -> Response:
        response = super().handle(raw)
        return replace(response, is_missing=len(raw) > 8192)


@fault("budget-reached")
class WritesHiddenTokens(Server):
    """Each answer takes thousands of tokens besides its text."""

    def usage(self, body: Json, reply: Reply) -> Json:
        return super().usage(body, replace(reply, written=5000 + reply.written))
