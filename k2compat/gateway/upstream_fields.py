"""Fields of an upstream's answer: which pass through, and what the read ones contain."""

from collections.abc import Mapping
from typing import Any, Final

from k2compat.gateway.draft import Json
from k2compat.gateway.request import PreparedRequest

_TEXT_OR_CALLS: Final = ("content", "reasoning_content", "reasoning", "tool_calls")
_EMPTY: Final[tuple[object, ...]] = (None, "", [])


def kept_fields(answer: Mapping[str, Any], prepared: PreparedRequest) -> Json:
    """The fields of a whole answer that pass through."""
    left = {"error"} if prepared.wants_ids else {"error", "prompt_token_ids"}
    return {name: value for name, value in answer.items() if name not in left}


def foreign(value: Mapping[str, Any], read: frozenset[str]) -> Json:
    """The fields that are not read, where they are not null."""
    if value.keys() <= read:  # nearly always
        return {}
    return {name: item for name, item in value.items() if item is not None and name not in read}


def only_text(delta: Any) -> str | None:
    """The field of a delta that holds text, where the others hold nothing."""
    if not isinstance(delta, dict):
        return None
    given = [name for name in _TEXT_OR_CALLS if delta.get(name) not in _EMPTY]
    if len(given) != 1 or not isinstance(delta[given[0]], str):
        return None
    # `feed` looks at `reasoning` only where the other field is absent or null.
    is_hidden = given == ["reasoning"] and delta.get("reasoning_content") is not None
    return None if is_hidden else given[0]


def joined(before: Any, more: Any) -> Any:
    """Two values of a field that a stream sends in parts, joined if they are lists."""
    if isinstance(before, list) and isinstance(more, list):
        return [*before, *more]
    if isinstance(before, dict) and isinstance(more, dict):
        return {**before, **{key: joined(before.get(key), item) for key, item in more.items()}}
    return more


def token_ids(choice: Mapping[str, Any], ids_in: str) -> list[int] | None:
    """The ids of the tokens in a piece, where the server gives them."""
    if ids_in == "token_ids":
        ids = choice.get("token_ids")
    else:
        logprobs = choice.get("logprobs")
        entries = logprobs.get("content") if isinstance(logprobs, dict) else None
        ids = [entry.get("id") for entry in _objects(entries)]
    if not isinstance(ids, list):
        return None
    return [token_id for token_id in ids if type(token_id) is int] or None


def _objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
