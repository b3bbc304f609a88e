"""What the gateway's tests share."""

import json
from typing import Any

from k2compat.gateway import Options, PreparedRequest, prepare

CANARY = "c4n4ry"
# What the tests' requests hold as keys, prompts and arguments; no log line, metric or error may.
CANARIES = (CANARY, "Paris", "a secret", "Bearer")
USER: Any = {"role": "user", "content": "Weather in Paris?"}


def tool(name: str = "weather", *required: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": name, "parameters": parameters | {"required": list(required)}}
    return {"type": "function", "function": function}


def call(call_id: Any, name: str = "weather", arguments: Any = '{"city": "Paris"}') -> Any:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def assistant(*calls: Any, **fields: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    return message | ({"tool_calls": list(calls)} if calls else {}) | fields


def result(call_id: Any, content: Any = "rain", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content} | fields


def request(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "kimi-k2", "messages": list(messages) or [USER]} | fields


def prepared(body: Any, **options: Any) -> PreparedRequest:
    if "skip" in options:
        options["skip"] = frozenset(options["skip"])
    return prepare(json.dumps(body).encode(), Options(**options))


def noted(request: PreparedRequest) -> dict[str, int]:
    return {note.code: note.count for note in request.notes}
