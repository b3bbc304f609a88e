"""A client's request becomes the upstream's: a table of steps over the body.

Each step has a name, for --skip and the log line, and notes what it did under codes that
`codes.toml` explains. Fields that no step names pass through unchanged.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from k2compat.gateway.draft import Draft, Json, Note, RequestRefusedError
from k2compat.gateway.json_text import InvalidJsonError, decode, encode
from k2compat.gateway.options import Options
from k2compat.gateway.steps.fields import add_extras, honour_tool_choice, remove_fields
from k2compat.gateway.steps.history import (
    flatten_content,
    move_thoughts,
    rename_ids,
    rename_roles,
    restore_thoughts,
    write_arguments,
)
from k2compat.gateway.steps.marker_text import keep_text, may_spell
from k2compat.gateway.thought_memory import Hash, Recall
from k2compat.toolcalls import Form, ReasoningMode

CHOICES_MAX: Final = 128
"""The largest `n`; OpenAI's own limit."""


class Step(NamedTuple):
    """One step.

    Attributes:
        name: its name.
        summary: what it does, in a few words.
        take: the function that takes it.
        of_history: whether it has nothing to do in a conversation of plain text.
    """

    name: str
    summary: str
    take: Callable[[Draft], None]
    of_history: bool = False


# The order matters: the step `marker-text` must see the text as the template gets it.
STEPS: Final = (
    Step("remove-fields", "template, address and key fields are taken out", remove_fields),
    Step("roles", "role developer becomes system", rename_roles),
    Step(
        "thoughts",
        "thoughts move to reasoning_content, null is replaced",
        move_thoughts,
        of_history=True,
    ),
    Step("history-ids", "call ids become functions.NAME:IDX", rename_ids, of_history=True),
    Step("content", "null and text parts become a string", flatten_content, of_history=True),
    Step("arguments", "arguments become JSON text", write_arguments, of_history=True),
    Step("remember-thoughts", "thoughts that the client dropped are put back", restore_thoughts),
    Step("tool-choice", "none and one call at a time are held to", honour_tool_choice),
    Step("marker-text", "text that spells a marker stays text", keep_text),
    Step("extras", "the engine is asked for markers, ids and usage", add_extras),
)
STEP_NAMES: Final = tuple(step.name for step in STEPS)


class PreparedRequest(NamedTuple):
    """The upstream's request, and the values that are needed to read its answer.

    Attributes:
        body: the upstream's body.
        notes: what the steps did.
        streams: whether the client wants a stream.
        choices: how many choices the client wants.
        wants_usage: whether the client's stream ends with the token counts.
        wants_logprobs: whether the client asked for log probabilities.
        wants_ids: whether the client asked for token ids.
        tools: the declared tools, or None.
        reasoning: how the model writes its thoughts.
        first_index: how many calls the conversation holds.
        max_calls: how many calls the answer may hold, or None.
        call_required: whether the client demands a call.
        form: how a constrained engine writes the text, as for `StreamParser`.
        forced_name: the tool whose arguments alone are the text, or None.
        escaped: the markers that were escaped in the conversation.
        ids_in: where the answer holds token ids; "" for nowhere.
        conversation: the hash under which the answer's thoughts are kept.
    """

    body: Json
    notes: tuple[Note, ...]
    streams: bool
    choices: int
    wants_usage: bool
    wants_logprobs: bool
    wants_ids: bool
    tools: list[Mapping[str, object]] | None
    reasoning: ReasoningMode
    first_index: int
    max_calls: int | None
    call_required: bool
    form: Form
    forced_name: str | None
    escaped: frozenset[str]
    ids_in: str
    conversation: Hash


def prepare(body: bytes, options: Options, recall: Recall | None = None) -> PreparedRequest:
    """Take all steps that the options do not skip.

    Args:
        body: the client's body for `POST /v1/chat/completions`.
        options: the gateway's options.
        recall: the thoughts of earlier answers, or None.

    Returns:
        The upstream's request.

    Raises:
        RequestRefusedError: the body is no chat request, or a step refuses it.
    """
    try:
        value = decode(body)
    except InvalidJsonError as error:
        raise RequestRefusedError("request-invalid", f"The body {error}.") from None
    return _prepared(value, options, body, recall)


def prepare_body(value: Any, options: Options) -> PreparedRequest:
    """Do the same as `prepare` for a decoded body, which is changed in place."""
    return _prepared(value, options, None, None)


def _prepared(
    value: Any, options: Options, body: bytes | None, recall: Recall | None
) -> PreparedRequest:
    draft = Draft(_checked(value), options, recall=recall)
    if body is not None:
        draft.may_spell = may_spell(body)
    asked = _asked(draft.body)
    is_plain = draft.is_plain
    for take in _taken(options.skip, is_plain):
        take(draft)
    if options.model is not None:
        draft.body["model"] = options.model
    return PreparedRequest(
        body=draft.body,
        notes=tuple(draft.notes),
        tools=draft.body.get("tools"),
        reasoning=reasoning_mode(draft.body, options),
        first_index=0 if is_plain else draft.native.call_count,
        max_calls=draft.max_calls,
        call_required=draft.call_required,
        form=draft.form,
        forced_name=draft.forced_name,
        escaped=frozenset(draft.escaped),
        ids_in=draft.ids_in,
        conversation=draft.conversation,
        **asked,
    )


@lru_cache(maxsize=8)
def _taken(skip: frozenset[str], is_plain: bool) -> tuple[Callable[[Draft], None], ...]:
    """The steps of a request; a conversation of plain text has nothing for those of history."""
    return tuple(
        step.take for step in STEPS if step.name not in skip and not (is_plain and step.of_history)
    )


def write_body(prepared: PreparedRequest) -> bytes:
    """The upstream's body as JSON.

    Raises:
        RequestRefusedError: it holds what JSON cannot write.
    """
    try:
        return encode(prepared.body)
    except InvalidJsonError:
        raise RequestRefusedError("request-invalid", "The body is nested too deeply.") from None


# The releases since Kimi-K2.5 end their prompts with <think>.
_PREFILLED: Final = re.compile(r"k2[.-]?[567]")


def reasoning_mode(body: Mapping[str, Any], options: Options) -> ReasoningMode:
    """How the model writes its thoughts, by the request and the options."""
    switches = body.get("chat_template_kwargs")
    if isinstance(switches, dict) and switches.get("thinking") is False:
        return "off"
    if options.reasoning != "auto":
        return options.reasoning
    name = str(options.model or body.get("model") or "").lower()
    return "prefilled" if _PREFILLED.search(name) else "tagged"


def _asked(body: Json) -> dict[str, Any]:
    """The fields of the answer that the client asked for, before a step asks for more."""
    stream_options = body.get("stream_options")
    return {
        "streams": body.get("stream") is True,
        "choices": 1 if body.get("n") is None else body["n"],
        "wants_usage": isinstance(stream_options, dict)
        and stream_options.get("include_usage") is True,
        "wants_logprobs": body.get("logprobs") is True,
        "wants_ids": body.get("return_token_ids") is True,
    }


def _checked(value: Any) -> Json:
    if not isinstance(value, dict):
        raise RequestRefusedError("request-invalid", "The body must be a JSON object.")
    for name, holds, wanted in _SHAPES:
        if not holds(value.get(name)):
            raise RequestRefusedError("request-invalid", f"{name} must be {wanted}.")
    return value


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_choice_count(value: Any) -> bool:
    return value is None or (type(value) is int and 1 <= value <= CHOICES_MAX)


_SHAPES: Final[tuple[tuple[str, Callable[[Any], bool], str], ...]] = (
    ("messages", _are_objects, "a list of objects"),
    ("tools", lambda value: value is None or _are_objects(value), "a list of objects"),
    ("model", lambda value: value is None or isinstance(value, str), "a string"),
    ("stream", lambda value: value is None or isinstance(value, bool), "true or false"),
    ("n", _is_choice_count, f"a whole number from 1 to {CHOICES_MAX}"),
)
