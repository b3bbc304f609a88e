"""Reads what a parser needs of an engine's request objects, whichever types they have."""

from collections.abc import Iterable, Mapping
from typing import Any


def tool_dicts(tools: Iterable[object] | None) -> list[Mapping[str, object]]:
    """The request's tools as OpenAI tool dicts.

    Args:
        tools: dicts or pydantic models, of the chat API or of the Responses
            API (which has name and parameters at the top).

    Returns:
        The dicts; what declares no function is left out.
    """
    dicts = (_as_dict(tool) for tool in tools or ())
    return [tool if "function" in tool else {"function": tool} for tool in dicts]


def count_calls(messages: object) -> int:
    """How many calls the conversation holds: the parser's `first_index`.

    Args:
        messages: the request's messages (chat API) or input items (Responses
            API), dicts or models; anything else holds none.
    """
    if not isinstance(messages, list | tuple):
        return 0
    return sum(map(_calls_in, map(_as_dict, messages)))


def _calls_in(item: Mapping[str, Any]) -> int:
    calls = item.get("tool_calls")
    own = len(calls) if isinstance(calls, list | tuple) else 0
    return own + (item.get("type") == "function_call")


def _as_dict(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) else {}
