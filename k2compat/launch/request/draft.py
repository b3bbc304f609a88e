"""The draft of speculative decoding: an EAGLE3 folder or name, or the model's own MTP layer.

A folder's config.json and the headers of its weights are read. For a name, the config in
`drafts.toml` is assumed, as for MODEL. "mtp" is the layer that the model's own checkpoint stores.
"""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from k2compat.errors import RefusedError
from k2compat.family import CONFIG_FILE
from k2compat.findings import Codes, Finding
from k2compat.launch.request.arguments import Argument, user_value
from k2compat.launch.request.model import LaunchModel, plain_name, read_config, repo_id_of
from k2compat.typed_toml import read_toml

MTP: Final = "mtp"
EAGLE3: Final = "eagle3"

_DRAFTS = Path(__file__).with_name("drafts.toml")
_OPTION = "--draft"

# The names under which EAGLE3 drafts are registered. Sources: wheels vllm 0.33.0
# (model_executor/models/registry.py) and sglang 0.5.23; TensorRT-LLM _torch/models.
_CLASSES: Final = (
    *("LlamaForCausalLMEagle3", "Eagle3LlamaForCausalLM", "EAGLE3LlamaForCausalLM"),
    *("Eagle3DeepseekV2ForCausalLM", "Eagle3DeepseekV3ForCausalLM", "Eagle3DeepSeekV3ForCausalLM"),
)
_OF_VARIANT = "EAGLE3 draft"
_FOREIGN = "foreign-"

_codes = Codes("launch")


class _AssumedDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The config that is assumed for the names of one kind of draft."""

    pattern: str
    config: str


class _Drafts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form of drafts.toml."""

    whole_models: str
    configs: dict[str, dict[str, Any]]
    drafts: tuple[_AssumedDraft, ...]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The draft of the tokens that the model verifies.

    Attributes:
        kind: "eagle3" or "mtp".
        name: The argument: a folder's absolute path, a repo's name, or a placeholder; empty for
            "mtp".
        config: The members of the draft's config.json, or those assumed; for "mtp" the model's.
        stored: Tensor of the folder's files → bytes; None where no folder was read.
        findings: Findings on the draft.
    """

    kind: str
    name: Argument = Argument(())
    config: Mapping[str, Any] = msgspec.field(default_factory=dict)
    stored: Mapping[str, int] | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def facts(self) -> frozenset[str]:
        """The facts of a draft for profiles."""
        if self.kind == MTP:
            return frozenset({MTP})
        layers = self.config.get("num_hidden_layers")
        found = {
            EAGLE3: True,
            "draft_folder": bool(self.name.placeholders) or str(self.name).startswith("/"),
            "deep_draft": isinstance(layers, int) and layers > 1,
            "mla_draft": bool(self.config.get("kv_lora_rank")),
        }
        return frozenset(name for name, holds in found.items() if holds)


def read_draft(text: str, model: LaunchModel) -> Draft:
    """The draft that an argument names.

    Args:
        text: "mtp", a folder, or a name.
        model: The model that it drafts for.

    Raises:
        RefusedError: draft-not-stored, draft-not-eagle3, value-malformed, not-a-folder, and what
            reading a config raises.
    """
    if text == MTP:
        return _own_layer(model)
    repo_id = repo_id_of(text)
    named = user_value(repo_id or text, _OPTION)
    if repo_id is None and not named.placeholders and os.path.lexists(text):
        return _from_folder(Path(text))
    return _assumed(named, model)


def _own_layer(model: LaunchModel) -> Draft:
    layers = model.text_config.get("num_nextn_predict_layers")
    if not isinstance(layers, int) or layers < 1:
        if model.folder is None and "kimi" not in plain_name(str(model.name)):
            raise RefusedError(
                "draft-not-stored",
                f"{model.name} was not read here: whether it stores a layer for multi-token "
                "prediction is not known.",
                hint="Name the model's folder, so that its config is read.",
            )
        raise _not_stored(
            f"{model.name} stores no layer for multi-token prediction: its config's "
            f"num_nextn_predict_layers is {layers or 0}."
        )
    if model.folder is not None and not _stores_layer(model.folder, model.text_config):
        raise _not_stored(
            f"{model.name} stores no layer for multi-token prediction: its config names "
            f"{layers}, but its weights have no tensor of layer "
            f"{model.text_config.get('num_hidden_layers')}."
        )
    return Draft(kind=MTP, config=model.text_config)


def _not_stored(message: str) -> RefusedError:
    hint = "Name an EAGLE3 draft made for the model: --draft DIR."
    return RefusedError("draft-not-stored", message, hint=hint)


def _stores_layer(folder: Path, config: Mapping[str, Any]) -> bool:
    from k2compat.checkpoint import open_checkpoint

    layer = f".layers.{config.get('num_hidden_layers')}."
    return any(layer in f".{tensor.name}" for tensor in open_checkpoint(folder).tensors())


def _from_folder(path: Path) -> Draft:
    config = {} if _lacks_config(path) else read_config(path)
    classes = config.get("architectures")
    if not any(name in _CLASSES for name in (classes if isinstance(classes, list) else ())):
        _demand_eagle3(path, config)
    name = user_value(os.path.abspath(path), _OPTION)  # noqa: PTH100
    return Draft(kind=EAGLE3, name=name, config=config, stored=_stored(path))


def _lacks_config(path: Path) -> bool:
    """Whether a folder has no config, as the folder of an adapter."""
    return path.is_dir() and not os.path.lexists(path / CONFIG_FILE)


def _demand_eagle3(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a folder that holds something else, and name its contents."""
    from k2compat.checkpoint import validate

    if config.get("n_routed_experts"):
        raise _not_eagle3(path, "its config describes a whole model.")
    try:
        validation = validate(path)
    except RefusedError as error:
        raise _not_eagle3(path, error.message) from error
    if validation.variant != _OF_VARIANT:
        found = (each.message for each in validation.report if each.code.startswith(_FOREIGN))
        raise _not_eagle3(path, next(found, "nothing in it is an EAGLE3 draft's."))


def _not_eagle3(path: Path | Argument, reason: str) -> RefusedError:
    return RefusedError(
        "draft-not-eagle3",
        f"{path} is no EAGLE3 draft: {reason}",
        hint="Name the folder of a draft made for the model, or --draft mtp for a model that "
        "stores the layer.",
    )


def _stored(path: Path) -> Mapping[str, int] | None:
    from k2compat.checkpoint import open_checkpoint

    sizes = {each.name: each.end - each.start for each in open_checkpoint(path).tensors()}
    return sizes or None


def _assumed(named: Argument, model: LaunchModel) -> Draft:
    plain = plain_name(str(named))
    if named == model.name or re.search(_drafts().whole_models, plain):
        raise _not_eagle3(named, "it is the name of a whole model.")
    entry = next(entry for entry in _drafts().drafts if re.search(entry.pattern, plain))
    finding = _codes.finding(
        "draft-assumed",
        str(named),
        f"{named} does not exist here; one layer with {entry.config} attention is assumed.",
        expected="a folder with the draft's config.json",
        fix="Name the draft's folder, where there is one, so that its config is read.",
    )
    config = _drafts().configs[entry.config]
    return Draft(kind=EAGLE3, name=named, config=config, findings=(finding,))


def check_draft(draft: Draft, model: LaunchModel) -> Iterator[Finding]:
    """Find that a draft does not fit a model.

    A draft reads hidden states of the model and embeds the model's tokens, so these two sizes are
    the model's. It may have a smaller vocabulary (draft_vocab_size); d2t then maps each of its
    tokens to one of the model. Sources: wheel vllm 0.33.0, model_executor/models/
    deepseek_eagle3.py; wheel sglang 0.5.23, models/kimi_k25_eagle3.py.
    """
    config = draft.config
    own = {
        "hidden_size": config.get("target_hidden_size") or config.get("hidden_size"),
        "vocab_size": config.get("vocab_size"),
    }
    for name, size in own.items():
        wanted = model.text_config.get(name)
        if size is not None and wanted is not None and size != wanted:
            yield _codes.finding(
                "draft-mismatch",
                _OPTION,
                f"The draft is made for a model with {name} {size}; {model.name} has {wanted}.",
                expected=str(wanted),
                actual=str(size),
                fix="Use a draft that was made for this model.",
            )
    yield from _check_map(draft)


def _check_map(draft: Draft) -> Iterator[Finding]:
    """Find a draft with a smaller vocabulary than the model and without the map between them."""
    own, whole = draft.config.get("draft_vocab_size"), draft.config.get("vocab_size")
    if own is None or own == whole or draft.stored is None:
        return
    if not any(name == "d2t" or name.endswith(".d2t") for name in draft.stored):
        yield _codes.finding(
            "draft-map-missing",
            _OPTION,
            f"The draft writes {own} of {whole} tokens, and its files have no d2t, which says "
            "which they are.",
            expected="a tensor d2t",
            fix="Download the draft again, or take another.",
        )


@cache
def _drafts() -> _Drafts:
    return read_toml(_DRAFTS, _Drafts)
