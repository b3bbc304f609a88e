"""The tools a request declares, as far as reading ids needs them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias


class Parameters(NamedTuple):
    """The names in a tool's JSON Schema."""

    properties: frozenset[str]
    required: frozenset[str]


_NO_PARAMETERS: Final = Parameters(frozenset(), frozenset())


Tools: TypeAlias = Sequence[Mapping[str, object]]


class DeclaredTools:
    """The declared tools by name. It never changes, so parsers may share it.

    Attributes:
        parameters: the parameters of each tool.
        known: whether the declarations were given at all.
    """

    __slots__ = ("_longest_first", "known", "parameters")

    def __init__(self, tools: Tools | None) -> None:
        """Read OpenAI tool dicts; entries that declare no function are passed over.

        Args:
            tools: the request's `tools`, or None if they are not known.

        Raises:
            ValueError: `tools` is no list of dicts.
        """
        self.known = tools is not None
        self.parameters = {
            name: _parameters(function)
            for function in (tool.get("function") for tool in _checked(tools))
            if isinstance(function, Mapping) and isinstance(name := function.get("name"), str)
        }
        self._longest_first = sorted(self.parameters, key=len, reverse=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __contains__(self, name: str) -> bool:
        return name in self.parameters

    def only(self) -> str | None:
        """The name of the only declared tool, or None if there is another number of them."""
        return next(iter(self.parameters)) if len(self.parameters) == 1 else None

    def longest_first(self) -> list[str]:
        """All names, the longest first."""
        return self._longest_first

    def only_fitting(self, keys: Iterable[str]) -> str | None:
        """The only tool that can be called with arguments of these names, or None."""
        given = frozenset(keys)
        fitting = [
            name
            for name, parameters in self.parameters.items()
            if parameters.required <= given <= parameters.properties
        ]
        return fitting[0] if len(fitting) == 1 else None


def _checked(tools: Tools | None) -> Tools:
    if tools is None:
        return ()
    if isinstance(tools, Mapping | str | bytes) or not isinstance(tools, Iterable):
        raise ValueError(  # noqa: TRY004 - one documented error for any wrong shape
            f"tools must be a list of OpenAI tool dicts, not a {_kind(tools)}"
        )
    checked = list(tools)
    for place, tool in enumerate(checked):
        if not isinstance(tool, Mapping):
            raise ValueError(  # noqa: TRY004
                f"tools must be a list of OpenAI tool dicts: tools[{place}] is a {_kind(tool)}"
            )
    return checked


def _kind(value: object) -> str:
    return type(value).__name__


_NOT_KNOWN: Final = DeclaredTools(None)


def prepare_tools(tools: Tools | DeclaredTools | None) -> DeclaredTools:
    """Read the declarations of a request once, for all parsers that need them.

    Args:
        tools: the request's tools, as OpenAI tool dicts; None means they are
            not known. A prepared set is returned as it is.

    Returns:
        The set, to be given to parsers as their `tools`. It keeps names only,
        so later changes of the dicts change nothing.

    Raises:
        ValueError: `tools` is no list of dicts.
    """
    if isinstance(tools, DeclaredTools):
        return tools
    return _NOT_KNOWN if tools is None else DeclaredTools(tools)


def _parameters(function: Mapping[str, object]) -> Parameters:
    schema = function.get("parameters")
    if not isinstance(schema, Mapping):
        return _NO_PARAMETERS
    return Parameters(_strings(schema.get("properties")), _strings(schema.get("required")))


def _strings(names: object) -> frozenset[str]:
    if not isinstance(names, Iterable):
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str))
