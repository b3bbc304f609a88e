"""Finds the `reasoning` that a request's output is read with."""

import re
from typing import TYPE_CHECKING, Final

from .markers import WHITE_SPACE

if TYPE_CHECKING:
    from .options import ReasoningMode

_GENERATION: Final = "add_generation_prompt"
_THINK_BEGIN: Final = "<think>"
_NO_THOUGHT: Final = "<think></think>"

_IF_ASKED: Final = re.compile(r"\bif\s+thinking\s*-?%\}[^%]*<think>")
"""A template that writes `<think>` only where the request switches thinking on."""


def reasoning_mode(
    prompt: str | None = None,
    *,
    chat_template: str | None = None,
    thinking: bool | None = None,
) -> "ReasoningMode":
    """Find the `reasoning` of `StreamParser` for a request.

    The prompt's end decides where it is known: `<think>` is "prefilled" (K2.5
    and later), `<think></think>` is "off" (the same, thinking switched off).
    Otherwise the chat template decides: one that writes `<think>` after its
    generation prompt makes such prompts (one that asks `if thinking` first
    makes them for requests with that switch), one that knows `<think>` elsewhere
    belongs to a model that writes it itself ("tagged", K2-Thinking), one
    without it to a model that does not think ("off", K2-Instruct).

    Args:
        prompt: the rendered prompt, or its end.
        chat_template: the model's chat template (Jinja), which need not be
            rendered here.
        thinking: the request's switch (`chat_template_kwargs`), if it has one.

    Returns:
        The mode; "tagged" where nothing is known, which reads the output of
        every model but those whose prompt ends with `<think>`.
    """
    end = (prompt or "").rstrip(WHITE_SPACE)
    if end.endswith(_THINK_BEGIN):
        return "prefilled"
    if end.endswith(_NO_THOUGHT):
        return "off"
    if chat_template is None:
        return "tagged"
    if _THINK_BEGIN not in chat_template:
        return "off"
    behind = chat_template.rpartition(_GENERATION)[2] if _GENERATION in chat_template else ""
    if prompt is None and _THINK_BEGIN in behind:
        switched_on = thinking or (thinking is None and not _IF_ASKED.search(behind))
        return "prefilled" if switched_on else _without_thoughts(thinking)
    return "tagged"


def _without_thoughts(thinking: bool | None) -> "ReasoningMode":
    # Without a switch the model may still begin a thought itself.
    return "tagged" if thinking is None else "off"
