"""Prompts as servers make them of a request: joined texts, read arguments, declared types.

What the frame of Kimi-K2's templates looks like is in `chat_template.TEMPLATE`. Around it stands
what servers do before they render (facts of vLLM's `chat_utils`), and the form in which Kimi-K2.5
declares tools, as far as it matters where texts touch each other.
"""

import contextlib
import json
from typing import Any, Final

from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.support.chat_template import TEMPLATE

_TEXT_OF_PART: Final = ("text", "refusal", "thinking", "content")


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = _tojson
    return environment


def _tojson(value: Any, separators: Any = None) -> str:
    """As Transformers' filter, which escapes nothing for HTML."""
    return json.dumps(value, ensure_ascii=False, separators=separators)


_TEMPLATE: Final = _environment().from_string(TEMPLATE)


def prompts(body: Any) -> list[str]:
    """The prompts that servers make of a request: arguments as text or read, tools in two forms."""
    made = []
    for read in (False, True):
        messages = [_served(message, read=read) for message in body["messages"]]
        made.append(_TEMPLATE.render(messages=messages, tools=body.get("tools"), thinking=True))
        merged = [message for message in messages if message["role"] == "user"]
        if merged:  # some servers make one turn of neighbours of a role
            content = "".join(message["content"] for message in merged)
            one = [{"role": "user", "content": content, "name": None}]
            made.append(_TEMPLATE.render(messages=one, tools=None))
    declared = [_declaration(tool["function"]) for tool in body.get("tools") or ()]
    return [*made, "\n".join(declared)]


def _served(message: Any, *, read: bool) -> Any:
    """A message as vLLM gives it to the template: parts joined, arguments read."""
    served = {
        "name": None,
        "tool_call_id": "",
        **message,
        "content": text_of(message.get("content")),
    }
    served["role"] = str(message["role"])
    if message.get("tool_calls"):
        served["tool_calls"] = [_served_call(call, read=read) for call in message["tool_calls"]]
    return served


def _served_call(call: Any, *, read: bool) -> Any:
    function = dict(call["function"])
    if read and isinstance(function.get("arguments"), str):
        with contextlib.suppress(ValueError):
            function["arguments"] = json.loads(function["arguments"])
    return {**call, "function": function}


def text_of(content: Any) -> str:
    """The texts of a content, one directly after the other."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return "".join(text_of(content[name]) for name in _TEXT_OF_PART if name in content)
    return "".join(map(text_of, content)) if isinstance(content, list) else ""


def _declaration(function: Any) -> str:
    """A tool in Kimi-K2.5's TypeScript form."""
    parameters = function.get("parameters") or {}
    named = [
        f"interface {name} {_type(schema)}" for name, schema in parameters.get("$defs", {}).items()
    ]
    described = [f"// {line}" for line in str(function.get("description", "")).split("\n")]
    own = f"type {function['name']} = (_: {_type(parameters)}) => any;"
    return "\n".join([*named, *described, own])


def _type(schema: Any) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(f'"{value}"' for value in schema["enum"])
    if schema.get("type") == "array":
        return f"Array<{_type(schema.get('items') or {'type': 'any'})}>"
    if schema.get("type") == "object":
        members = [
            f"// {each.get('description', '')}\n{name}: {_type(each)}"
            for name, each in schema.get("properties", {}).items()
        ]
        return "{\n" + ",\n".join(members) + "\n}"
    return str(schema.get("type", "any"))
