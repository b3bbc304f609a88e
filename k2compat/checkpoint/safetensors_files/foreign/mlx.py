"""What an MLX conversion should hold: packed rows, with scales and biases for groups of a row.

    config.json   quantization: group_size, bits and mode of all modules, and others by name
    weight        U32 [.., rows, columns * bits / 32]
    scales        [.., rows, columns / group_size]; biases too, where the mode is affine

mlx-lm stacks the experts, splits kv_b_proj by heads, and drops layers for multi-token prediction. A
module is quantised where its scales are stored.

Sources: mlx-lm utils.py and models/deepseek_v3.py.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from k2compat.checkpoint.model import (
    TEXT_LAYERS,
    VISION,
    Architecture,
    expected_blocks,
    read_architecture,
    whole_number,
)
from k2compat.checkpoint.safetensors_files.foreign.expectations import Expectation
from k2compat.family import text_config

_EXPERT: Final = "mlp.experts.0."
_OTHER_EXPERTS: Final = "mlp.experts."
_STACKED: Final = "mlp.switch_mlp."
_KV_B: Final = "self_attn.kv_b_proj"
_AFFINE: Final = "affine"

Shape = tuple[int | None, ...]


class _Settings(NamedTuple):
    """How a module is packed; None where the config gives no number."""

    bits: int | None
    group: int | None
    is_affine: bool


def expect_mlx(names: AbstractSet[str], config: Mapping[str, Any]) -> Expectation:
    """The tensors of an MLX conversion.

    Args:
        names: Of its tensors.
        config: The members of its config.json.
    """
    text = text_config(config)
    plain = {**text, "quantization_config": None}
    architecture, _ = read_architecture(
        {**config, "text_config": plain}
        | (plain if text is config else {"quantization_config": None})
    )
    if architecture is None:
        return Expectation({}, frozenset())
    settings = config.get("quantization") or text.get("quantization")
    settings = settings if isinstance(settings, dict) else {}
    shapes: dict[str, Shape] = {}
    for name, shape in _plain_tensors(architecture):
        module, _, suffix = name.rpartition(".")
        named = isinstance(settings.get(module), dict)
        if suffix == "weight" and (named or f"{module}.scales" in names):
            shapes |= _packed(module, shape, _settings_of(module, settings))
        else:
            shapes[name] = shape
    layers = f"{architecture.prefix}{TEXT_LAYERS}"
    strangers = {name for name in names if name.startswith(layers) and name not in shapes}
    return Expectation(shapes, frozenset(shapes), frozenset(strangers))


def _plain_tensors(architecture: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tensors before they are packed, under MLX's names."""
    sizes = architecture.sizes
    for block in expected_blocks(architecture):
        if block.layer is not None and block.layer >= architecture.layers:
            continue
        for name, kind in block.kinds.items():
            if kind.necessity in ("legacy", "uniform", VISION) or kind.shape is None:
                continue
            if name.startswith(_KV_B):
                attention = f"{block.prefix}self_attn."
                yield f"{attention}embed_q.weight", (sizes["nh"], sizes["kv"], sizes["N"])
                yield f"{attention}unembed_out.weight", (sizes["nh"], sizes["Dv"], sizes["kv"])
            elif name.startswith(_EXPERT):
                stacked = f"{block.prefix}{_STACKED}{name.removeprefix(_EXPERT)}"
                yield stacked, (architecture.experts, *kind.shape)
            elif not name.startswith(_OTHER_EXPERTS):
                yield f"{block.prefix}{name}", kind.shape


def _settings_of(module: str, settings: Mapping[str, Any]) -> _Settings:
    own = settings.get(module)
    used = {**settings, **own} if isinstance(own, dict) else settings
    return _Settings(
        whole_number(used.get("bits"), most=8),
        whole_number(used.get("group_size")),
        used.get("mode", _AFFINE) == _AFFINE,
    )


def _packed(module: str, shape: tuple[int, ...], settings: _Settings) -> Mapping[str, Shape]:
    *rows, columns = shape
    words = None if settings.bits is None else columns * settings.bits // 32
    groups = None if settings.group is None else columns // settings.group
    scaled = ("scales", "biases") if settings.is_affine else ("scales",)
    return {
        f"{module}.weight": (*rows, words),
        **{f"{module}.{suffix}": (*rows, groups) for suffix in scaled},
    }
