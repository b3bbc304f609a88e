"""Steps over the fields of a request: removals, and the additions of the engine's dialect."""

from typing import Any, Final

from k2compat.gateway.dialects import Dialect, dialect_of
from k2compat.gateway.draft import Draft

# A template is code that the engine runs. The other fields name addresses or keys: LiteLLM's
# routers follow the first group, and vLLM's and SGLang's disaggregated serving the second.
REMOVED: Final = frozenset(
    (
        "chat_template",
        "api_base",
        "base_url",
        "api_key",
        "api_version",
        "custom_llm_provider",
        "extra_headers",
        "kv_transfer_params",
        "bootstrap_host",
        "bootstrap_port",
        "bootstrap_room",
    )
)
TEMPLATE_SWITCHES: Final = ("thinking", "preserve_thinking")
"""The switches that the family's chat templates read; Kimi-K2.5 and later."""


def remove_fields(draft: Draft) -> None:
    """Remove fields that would run code, redirect the request or carry a key."""
    removed = list(REMOVED.intersection(draft.body))
    for name in removed:
        del draft.body[name]
    switches = draft.body.get("chat_template_kwargs")
    if isinstance(switches, dict):
        known = {key: value for key, value in switches.items() if key in TEMPLATE_SWITCHES}
        removed += switches.keys() - known.keys()
        draft.body["chat_template_kwargs"] = known
    draft.note("remove-fields", "request-fields-removed", len(removed))


def honour_tool_choice(draft: Draft) -> None:
    """Note how many calls the client accepts; the body keeps its fields."""
    choice = draft.body.get("tool_choice")
    if choice == "none":
        draft.max_calls = 0
    elif draft.body.get("parallel_tool_calls") is False:
        draft.max_calls = 1
    draft.call_required = choice == "required" or isinstance(choice, dict)
    # Engines constrain the model to bare JSON then, and some leave it in the content.
    name = _forced_name(choice)
    if name is not None:
        draft.form, draft.forced_name = "arguments", name
    elif draft.call_required:
        draft.form = "calls"


def _forced_name(choice: object) -> str | None:
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) and name else None


def add_extras(draft: Draft) -> None:
    """Add the fields that ask the engine for all that the reading needs."""
    dialect, body = dialect_of(draft.options.engine), draft.body
    wanted: dict[str, Any] = dict(dialect.always)
    if _wants_ids(draft, dialect):
        # The ids of a whole answer cannot be assigned to places in its text; those of a stream can.
        wanted |= {**dialect.with_ids, "stream": True}
        draft.ids_in = dialect.ids
    added = {name: value for name, value in wanted.items() if body.get(name) != value}
    body |= added
    if dialect.usage and body.get("stream"):
        given = body.get("stream_options")
        options = given if isinstance(given, dict) else {}
        if not options.get("include_usage"):
            body["stream_options"] = {**options, "include_usage": True}
            added["stream_options"] = True
    draft.note("extras", "request-extras-added", len(added))


def _wants_ids(draft: Draft, dialect: Dialect) -> bool:
    option = draft.options.token_ids
    wanted = dialect.strips if option == "auto" else option == "on"
    possible = dialect.ids_beside_tools or (bool(dialect.ids) and not draft.body.get("tools"))
    return wanted and possible
