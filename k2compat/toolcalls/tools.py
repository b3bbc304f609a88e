"""The tools a request declares, as far as reading ids needs them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple


class Parameters(NamedTuple):
    """The names in a tool's JSON Schema."""

    properties: frozenset[str]
    required: frozenset[str]


_NO_PARAMETERS: Final = Parameters(frozenset(), frozenset())


class DeclaredTools:
    """The declared tools by name.

    Attributes:
        parameters: the parameters of each tool.
        known: whether the declarations were given at all.
    """

    __slots__ = ("known", "parameters")

    def __init__(self, tools: Sequence[Mapping[str, object]] | None) -> None:
        """Read OpenAI tool dicts; entries that declare no function are passed over.

        Args:
            tools: the request's `tools`, or None if they are not known.
        """
        self.known = tools is not None
        self.parameters = {
            name: _parameters(function)
            for function in (tool.get("function") for tool in tools or ())
            if isinstance(function, Mapping) and isinstance(name := function.get("name"), str)
        }

    def __contains__(self, name: str) -> bool:
        return name in self.parameters

    def only(self) -> str | None:
        """The name of the only declared tool, or None if there is another number of them."""
        return next(iter(self.parameters)) if len(self.parameters) == 1 else None

    def longest_first(self) -> list[str]:
        """All names, the longest first."""
        return sorted(self.parameters, key=len, reverse=True)

    def only_fitting(self, keys: Iterable[str]) -> str | None:
        """The only tool that can be called with arguments of these names, or None."""
        given = frozenset(keys)
        fitting = [
            name
            for name, parameters in self.parameters.items()
            if parameters.required <= given <= parameters.properties
        ]
        return fitting[0] if len(fitting) == 1 else None


def _parameters(function: Mapping[str, object]) -> Parameters:
    schema = function.get("parameters")
    if not isinstance(schema, Mapping):
        return _NO_PARAMETERS
    return Parameters(_strings(schema.get("properties")), _strings(schema.get("required")))


def _strings(names: object) -> frozenset[str]:
    if not isinstance(names, Iterable):
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str))
