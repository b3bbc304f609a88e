"""Steps over the conversation: ids, roles, thoughts, content and arguments.

`native_history` does all of these changes at once. Each step copies only its own fields of the
result, so that each can be switched off alone.
"""

from collections.abc import Iterator
from typing import Any, Final

from k2compat.gateway.draft import Draft, Json

_MISSING: Final = object()
_THOUGHTS: Final = ("thinking", "redacted_thinking")


def rename_ids(draft: Draft) -> None:
    """Give calls and results the model's own ids."""
    renamed = sum(_copy(call, native, "id") for call, native in _calls(draft))
    for message, native in _messages(draft):
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


def move_thoughts(draft: Draft) -> None:
    """Bring the thoughts of assistant turns into `reasoning_content`, and replace null there.

    Kimi's templates read no other field, and print null as the word None.
    """
    moved = nulls = 0
    for message, native in _messages(draft):
        had_null = message.get("reasoning_content", "") is None
        changed = "reasoning" in message and message.get("role") == "assistant"
        if changed:
            del message["reasoning"]
        if "reasoning_content" in message and "reasoning_content" not in native:
            del message["reasoning_content"]
        changed |= _copy(message, native, "reasoning_content")
        nulls += had_null and message.get("reasoning_content", "") is not None
        moved += changed and not had_null
    draft.note("thoughts", "history-thoughts-moved", moved)
    draft.note("thoughts", "history-thoughts-null", nulls)
    draft.note("thoughts", "history-thoughts-redacted", len(draft.native.redacted_thoughts))


def restore_thoughts(draft: Draft) -> None:
    """Put back the thoughts that the client dropped, where they are remembered."""
    if draft.recall is not None:
        draft.conversation, restored = draft.recall.restore(draft.messages)
        draft.note("remember-thoughts", "history-thoughts-restored", restored)


def flatten_content(draft: Draft) -> None:
    """Turn null, an empty list and a list of text parts into a string.

    With --skip thoughts, an assistant's content that holds thoughts stays a list: a string cannot
    hold them.
    """
    keeps_thoughts = "thoughts" in draft.options.skip
    changed = sum(
        _copy(message, native, "content")
        for message, native in _messages(draft)
        if not (keeps_thoughts and _holds_thoughts(message.get("content")))
    )
    draft.note("content", "history-content-flattened", changed)


def write_arguments(draft: Draft) -> None:
    """Turn arguments that are an object or missing into JSON text; report broken ones."""
    written = sum(
        _copy(call["function"], native["function"], "arguments") for call, native in _calls(draft)
    )
    draft.note("arguments", "history-arguments-written", written)
    draft.note("arguments", "history-arguments-broken", len(draft.native.broken_arguments))


def _holds_thoughts(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") in _THOUGHTS for part in content
    )


def _messages(draft: Draft) -> Iterator[tuple[Json, Json]]:
    return zip(draft.messages, draft.native.messages, strict=True)


def _calls(draft: Draft) -> Iterator[tuple[Json, Json]]:
    for message, native in _messages(draft):
        if message.get("tool_calls"):
            yield from zip(message["tool_calls"], native["tool_calls"], strict=True)


def _copy(target: dict[str, Any], source: dict[str, Any], key: str) -> bool:
    if key in source and target.get(key, _MISSING) != source[key]:
        target[key] = source[key]
        return True
    return False
