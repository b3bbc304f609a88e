"""The tensors of an MLX conversion: packed rows, with scales and biases for groups of a row.

    config.json   quantization: group_size, bits and mode of all modules, and others by name
    weight        U32 [.., rows, columns * bits / 32]
    scales        [.., rows, columns / group_size]; biases too, where the mode is affine

mlx-lm stacks the experts, splits kv_b_proj by heads, and drops layers for multi-token prediction. A
module is quantised where its scales are stored.

Sources: mlx-lm utils.py and models/deepseek_v3.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from k2compat.checkpoint.model import (
    TEXT_LAYERS,
    VISION,
    Architecture,
    expected_blocks,
    read_architecture,
    whole_number,
)
from k2compat.checkpoint.safetensors_files.deviations import Deviation, TensorDeviation
from k2compat.checkpoint.safetensors_files.foreign.expectations import Expectation, layer_of
from k2compat.family import text_config

_EXPERT: Final = "mlp.experts.0."
_OTHER_EXPERTS: Final = "mlp.experts."
_STACKED: Final = "mlp.switch_mlp."
_KV_B: Final = "self_attn.kv_b_proj"
_AFFINE: Final = "affine"
_WORD: Final = 32
"""Bits of an element of a packed weight."""

_BITS: Final = (2, 3, 4, 5, 6, 8)
_GROUPS: Final = (16, 32, 64, 128)
"""The values that mlx supports."""

Shape = tuple[int | None, ...]


class _Settings(NamedTuple):
    """How a module is packed; None where the config gives no number."""

    bits: int | None
    group: int | None
    is_affine: bool

    @property
    def words(self) -> str:
        """The settings in words, for a report."""
        bits = "any bits" if self.bits is None else f"{self.bits} bits"
        group = "any size" if self.group is None else str(self.group)
        return f"{bits} in groups of {group}{'' if self.is_affine else ', without biases'}"


def expect_mlx(names: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]) -> Expectation:
    """The tensors of an MLX conversion.

    A module with other settings than the config's is one deviation, not one for each tensor.

    Args:
        names: The shapes of its tensors, by name.
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
    has_biases = any(name.endswith(".biases") for name in names)
    shapes: dict[str, Shape] = {}
    deviations: list[TensorDeviation] = []
    for name, shape in _plain_tensors(architecture):
        module, _, suffix = name.rpartition(".")
        named = isinstance(settings.get(module), dict)
        if suffix == "weight" and (named or f"{module}.scales" in names):
            own = _settings_of(module, settings)
            affine = f"{module}.biases" in names or (own.is_affine and has_biases)
            stored = _stored_settings(module, shape, names, affine) or own
            deviations += _differences(module, own, stored)
            shapes |= _packed(module, shape, stored)
        else:
            shapes[name] = shape
    layers = f"{architecture.prefix}{TEXT_LAYERS}"
    strangers = {name for name in names if name.startswith(layers) and name not in shapes}
    return Expectation(shapes, frozenset(shapes), frozenset(strangers), tuple(deviations))


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
    words = None if settings.bits is None else columns * settings.bits // _WORD
    groups = None if settings.group is None else columns // settings.group
    scaled = ("scales", "biases") if settings.is_affine else ("scales",)
    return {
        f"{module}.weight": (*rows, words),
        **{f"{module}.{suffix}": (*rows, groups) for suffix in scaled},
    }


def _stored_settings(
    module: str, shape: tuple[int, ...], names: Mapping[str, tuple[int, ...]], affine: bool
) -> _Settings | None:
    """The settings that give the shapes of a module's tensors; None where none does."""
    for bits in _BITS:
        for group in _GROUPS:
            made = _packed(module, shape, _Settings(bits, group, affine))
            if all(names.get(name) == size for name, size in made.items()):
                return _Settings(bits, group, affine)
    return None


def _differences(module: str, own: _Settings, stored: _Settings) -> Iterator[TensorDeviation]:
    """The differences between a module's storage and the config, if there are any."""
    if own.bits not in (None, stored.bits):
        deviation = Deviation.BITS
    elif own.group not in (None, stored.group):
        deviation = Deviation.GROUP_SIZE
    elif own.is_affine != stored.is_affine:
        deviation = Deviation.SETTINGS
    else:
        return
    name = f"{module}.weight"
    yield TensorDeviation(deviation, name, layer_of(name), "packed", None, own.words, stored.words)
