"""Forced calls of many schemas, for --schemas: data in schemas.json."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from k2compat.endpoint.asking.build import body_of, user, whole_and_stream
from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.asking.wanted import WantedCall, order_of

_TOKENS = 1024


class SchemaCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schema, and arguments that fit it.

    Attributes:
        schema: the schema of the tool's only parameter `value`, or of all parameters where it has
            `properties` and `whole` is set.
        value: the value of that parameter, or all arguments.
        whole: whether schema and value are those of all parameters.
    """

    schema: dict[str, Any]
    value: Any
    whole: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """The tool's parameters."""
        if self.whole:
            return self.schema
        return {"type": "object", "properties": {"value": self.schema}, "required": ["value"]}

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that the request asks for."""
        return dict(self.value) if self.whole else {"value": self.value}


@cache
def schema_cases() -> dict[str, SchemaCase]:
    """All cases by name, in the order of the file."""
    data = files("k2compat.endpoint.asking").joinpath("schemas.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, SchemaCase])


def schema_plan() -> tuple[Request, ...]:
    """A forced call for each schema, whole and streamed."""
    return tuple(_requests())


def _requests() -> Iterator[Request]:
    for name, case in schema_cases().items():
        tool_name = f"take_{name.replace('-', '_')}"
        function = {
            "name": tool_name,
            "description": "Take a value.",
            "parameters": case.parameters,
        }
        wanted = WantedCall(tool_name, case.arguments)
        body = body_of(
            [user(order_of(wanted))],
            _TOKENS,
            tools=[{"type": "function", "function": function}],
            tool_choice={"type": "function", "function": {"name": tool_name}},
        )
        purpose = f"a forced call: {name.replace('-', ' ')}"
        yield from whole_and_stream(f"schema-{name}", purpose, body, wants=(wanted,))
