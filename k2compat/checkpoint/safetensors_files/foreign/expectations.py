"""The tensors that adapters and drafts should hold, by their own config and the model's.

    LoRA: for a module of d0 rows and d1 columns, lora_A [rank, d1] and lora_B [d0, rank]
    EAGLE3: one layer of Llama whose input is the token's embedding beside the hidden state

Sources: PEFT's LoraConfig and the names that it saves; SGLang srt/models/llama_eagle3.py.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from k2compat.checkpoint.model import (
    Architecture,
    expected_blocks,
    read_architecture,
    shape_of,
    whole_number,
)
from k2compat.checkpoint.safetensors_files.deviations import TensorDeviation
from k2compat.checkpoint.safetensors_files.header import SafetensorsTensor
from k2compat.family import text_config

_SIZE_MAX: Final = 1 << 24
_LORA: Final = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[^.]+)?\.weight"
)
_LAYER: Final = re.compile(r"\blayers\.([0-9]{1,9})\.")
_FUSED_STATES: Final = 3
"""Hidden states of the model that EAGLE3's `fc` takes."""

_EAGLE3: Final[Mapping[str, tuple[str, ...]]] = {
    "fc.weight": ("H", "states*TH"),
    "midlayer.self_attn.q_proj.weight": ("heads*D", "2*H"),
    "midlayer.self_attn.k_proj.weight": ("kv_heads*D", "2*H"),
    "midlayer.self_attn.v_proj.weight": ("kv_heads*D", "2*H"),
    "midlayer.self_attn.o_proj.weight": ("H", "heads*D"),
    "midlayer.mlp.gate_proj.weight": ("I", "H"),
    "midlayer.mlp.up_proj.weight": ("I", "H"),
    "midlayer.mlp.down_proj.weight": ("H", "I"),
    "midlayer.hidden_norm.weight": ("H",),
    "midlayer.input_layernorm.weight": ("H",),
    "midlayer.post_attention_layernorm.weight": ("H",),
    "norm.weight": ("H",),
    "lm_head.weight": ("DV", "H"),
    "embed_tokens.weight": ("V", "H"),
    "d2t": ("DV",),
    "t2d": ("V",),
}
_MAY_LACK: Final = ("embed_tokens.weight", "lm_head.weight", "d2t", "t2d")


class Expectation(NamedTuple):
    """Shapes by name.

    Attributes:
        shapes: None for a dimension that is not known.
        required: Names that must be there.
        strangers: Names of modules that the model does not have.
        deviations: Known deviations of modules, whose `shapes` are the stored ones.
    """

    shapes: Mapping[str, tuple[int | None, ...]]
    required: frozenset[str]
    strangers: frozenset[str] = frozenset()
    deviations: tuple[TensorDeviation, ...] = ()


def expect_lora(
    names: Iterable[str], adapter: Mapping[str, Any], model: Mapping[str, Any] | None
) -> Expectation:
    """The tensors of a LoRA adapter.

    Args:
        names: The names of its tensors.
        adapter: The members of adapter_config.json.
        model: The members of the model's config, if it is known.
    """
    architecture = None if model is None else read_architecture(model)[0]
    modules = {} if architecture is None else _modules(architecture)
    shapes: dict[str, tuple[int | None, ...]] = {}
    required: set[str] = set()
    strangers: set[str] = set()
    for name in names:
        match = _LORA.fullmatch(name)
        if match is None:
            continue
        rows, columns = modules.get(match["module"], (None, None))
        if architecture is not None and rows is None:
            strangers.add(name)
            continue
        rank = _rank(adapter, match["module"])
        start, end = match.span("side")
        shapes[f"{name[:start]}A{name[end:]}"] = (rank, columns)
        shapes[f"{name[:start]}B{name[end:]}"] = (rows, rank)
        required |= {f"{name[:start]}A{name[end:]}", f"{name[:start]}B{name[end:]}"}
    return Expectation(shapes, frozenset(required), frozenset(strangers))


def expect_eagle3(
    draft: Mapping[str, Any], model: Mapping[str, Any] | None, tensors: Iterable[SafetensorsTensor]
) -> Expectation:
    """The tensors of an EAGLE3 draft.

    Args:
        draft: The members of its own config.
        model: The members of the model's config, if it is known.
        tensors: The tensors of the draft.
    """
    of_model = {} if model is None else text_config(model)
    target = _size(of_model, "hidden_size") or _size(draft, "target_hidden_size")
    heads, hidden = _size(draft, "num_attention_heads"), _size(draft, "hidden_size")
    vocabulary = _size(of_model, "vocab_size") or _size(draft, "vocab_size")
    found = {
        "states": _FUSED_STATES,
        "H": hidden,
        "TH": target or hidden,
        "heads": heads,
        "kv_heads": _size(draft, "num_key_value_heads") or heads,
        "D": _size(draft, "head_dim") or (hidden // heads if hidden and heads else None),
        "I": _size(draft, "intermediate_size"),
        "V": vocabulary,
        "DV": _size(draft, "draft_vocab_size") or vocabulary,
    }
    sizes = {name: size for name, size in found.items() if size is not None}
    held = {tensor.name for tensor in tensors}
    shapes: dict[str, tuple[int | None, ...]] = {}
    for name, expressions in _EAGLE3.items():
        try:
            shapes[name] = shape_of(expressions, sizes)
        except KeyError:
            continue
    # Some programs give the layer another name: without these names no tensor is missing.
    required = set(shapes) - set(_MAY_LACK) if "midlayer.hidden_norm.weight" in held else set()
    return Expectation(shapes, frozenset(required))


def layer_of(name: str) -> int | None:
    """The number of the layer in a tensor's name; None outside any layer."""
    match = _LAYER.search(name)
    return None if match is None else int(match[1])


def _modules(architecture: Architecture) -> Mapping[str, tuple[int, ...]]:
    """Rows and columns of each module that has a weight of two dimensions."""
    return {
        f"{block.prefix}{name.rpartition('.')[0]}": kind.module.shape
        for block in expected_blocks(architecture)
        for name, kind in block.kinds.items()
        if kind.module is not None
    }


def _rank(adapter: Mapping[str, Any], module: str) -> int | None:
    patterns = adapter.get("rank_pattern")
    for pattern, rank in patterns.items() if isinstance(patterns, dict) else ():
        if module == pattern or module.endswith(f".{pattern}"):
            return whole_number(rank)
    return whole_number(adapter.get("r"))


def _size(config: Mapping[str, Any], name: str) -> int | None:
    return whole_number(config.get(name), most=_SIZE_MAX)
