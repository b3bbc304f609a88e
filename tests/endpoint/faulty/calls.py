"""Servers with wrong ids or arguments."""

import json
from contextlib import suppress
from dataclasses import replace

from tests.endpoint.faulty.registry import fault
from tests.endpoint.standin import (
    NATIVE_ID,
    Call,
    Json,
    Reply,
    Server,
    calls_before,
)


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


def flat(arguments: Json) -> Json:
    return {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in arguments.items()}
