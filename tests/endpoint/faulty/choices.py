"""Servers that do not keep to a request's limits."""

from dataclasses import replace
from typing import Any

from tests.endpoint.faulty.registry import fault
from tests.endpoint.standin import (
    Call,
    Json,
    Reply,
    Server,
)


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


def choice_without_name(body: Json) -> Any:
    choice = body.get("tool_choice")
    return "required" if isinstance(choice, dict) else choice
