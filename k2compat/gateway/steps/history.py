"""Steps over the conversation: ids, roles, content and arguments."""

from typing import Any

from k2compat.gateway.draft import Draft
from k2compat.gateway.json_text import InvalidJsonError, decode


def rename_ids(draft: Draft) -> None:
    """Give calls and results the model's own ids; nothing else changes."""
    renamed = 0
    for message, native in zip(draft.messages, draft.native.messages, strict=True):
        calls, own = message.get("tool_calls"), native.get("tool_calls")
        pairs = [*zip(calls, own, strict=True)] if calls and own else []
        renamed += sum(_copy(call, native_call, "id") for call, native_call in pairs)
        if message.get("role") == "tool":
            renamed += _copy(message, native, "tool_call_id")
    draft.note("history-ids", "history-ids-renamed", renamed)
    draft.note("history-ids", "history-results-unmatched", len(draft.native.unmatched))


def rename_roles(draft: Draft) -> None:
    """Call the role `developer` `system`: the templates print any other role as it is."""
    renamed = 0
    for message in draft.messages:
        if message.get("role") == "developer":
            message["role"] = "system"
            renamed += 1
    draft.note("roles", "history-roles-renamed", renamed)


def flatten_content(draft: Draft) -> None:
    """Make a string of null, of an empty list and of a list of text parts."""
    changed = 0
    for message, native in zip(draft.messages, draft.native.messages, strict=True):
        changed += _copy(message, native, "content")
    draft.note("content", "history-content-flattened", changed)


def write_arguments(draft: Draft) -> None:
    """Make JSON text of arguments that are an object or missing; report broken ones."""
    written = broken = 0
    for call in draft.calls():
        function = call["function"]
        given = function.get("arguments")
        if not isinstance(given, str) or not given.strip():
            function["arguments"] = _as_text(given)
            written += 1
        elif not _is_object(given):
            broken += 1
    draft.note("arguments", "history-arguments-written", written)
    draft.note("arguments", "history-arguments-broken", broken)


def _copy(target: dict[str, Any], source: dict[str, Any], key: str) -> bool:
    if key in source and target.get(key, _MISSING) != source[key]:
        target[key] = source[key]
        return True
    return False


_MISSING = object()


def _as_text(arguments: object) -> str:
    """Arguments as the templates' tojson prints them: separators with spaces, characters kept."""
    import json

    if not arguments or isinstance(arguments, str):
        return "{}"
    return json.dumps(arguments, ensure_ascii=False)


def _is_object(text: str) -> bool:
    try:
        return isinstance(decode(text), dict)
    except InvalidJsonError:
        return False
