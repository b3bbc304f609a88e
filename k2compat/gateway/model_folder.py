"""What the gateway takes from a model's folder: the markers' ids, and how the prompt ends."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from k2compat.errors import RefusedError
from k2compat.gateway.json_text import InvalidJsonError, decode
from k2compat.gateway.options import Options
from k2compat.toolcalls import ReasoningMode, marker_ids, reasoning_mode

# model_type of Kimi-K2.5 and of the releases made from it.
_PREFILLED_TYPES: Final = ("kimi_k25",)
_FOLDER_HINT: Final = "Give --folder the folder of the model that the upstream serves."


def with_folder(options: Options, folder: Path) -> Options:
    """The options, completed from a model's folder.

    Args:
        options: the options so far.
        folder: the model's folder.

    Returns:
        The options with the folder's marker ids, its special tokens, and the reasoning mode of its
        `model_type` where the options leave that open.

    Raises:
        RefusedError: a file is missing, is no JSON object, or is another family's.
    """
    if not folder.is_dir():
        raise RefusedError("serve-settings", f"{folder} is no folder.", hint=_FOLDER_HINT)
    tokenizer = _read(folder / "tokenizer_config.json")
    try:
        ids = marker_ids(tokenizer)
    except ValueError as error:
        raise RefusedError(
            "serve-settings",
            f"{folder / 'tokenizer_config.json'} is not Kimi-K2's: {error}.",
            hint=_FOLDER_HINT,
        ) from None
    reasoning = options.reasoning
    if reasoning == "auto":
        reasoning = _reasoning(folder, tokenizer)
    tokens = tokenizer["added_tokens_decoder"].values()
    special = frozenset(filter(None, map(_special_text, tokens)))
    return replace(options, marker_ids=ids, special_texts=special, reasoning=reasoning)


def _special_text(token: Any) -> str:
    """The text of an added token that acts as a marker; empty for any other.

    The family's markers of calls and thoughts have `special: false`; an added token without
    brackets that is not special is a word.
    """
    text = token.get("content") if isinstance(token, dict) else token
    if not isinstance(text, str) or len(text) < 3:
        return ""
    special = isinstance(token, dict) and token.get("special") is True
    return text if special or text[0] in "<[" else ""


def _reasoning(folder: Path, tokenizer: dict[str, Any]) -> ReasoningMode:
    """How the model writes its thoughts, by its chat template or else its type."""
    template: object
    try:
        template = (folder / "chat_template.jinja").read_text("utf-8")
    except (OSError, ValueError):
        template = tokenizer.get("chat_template")
    if isinstance(template, str):
        return reasoning_mode(chat_template=template)
    model_type = _read(folder / "config.json").get("model_type")
    return "prefilled" if model_type in _PREFILLED_TYPES else "tagged"


def _read(path: Path) -> dict[str, Any]:
    try:
        value = decode(path.read_bytes())
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except InvalidJsonError:
        reason = "is not a JSON text"
    else:
        if isinstance(value, dict):
            return value
        reason = "does not hold a JSON object"
    raise RefusedError(
        "serve-settings", f"{path} {reason}.", hint="Give --folder the folder of the model."
    )
