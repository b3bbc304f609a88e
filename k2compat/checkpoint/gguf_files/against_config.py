"""Comparison of a GGUF's metadata and sizes with the config of the original model.

The file alone does not show that it is of another model, or that a converter wrote a wrong
number into both metadata and tensors. The comparison with the original's config does.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from k2compat.checkpoint.gguf_files.metadata import Metadata, full_key
from k2compat.checkpoint.gguf_files.rules import config_sizes, config_value, deepseek2
from k2compat.checkpoint.reporting import FileFindings
from k2compat.family import FINGERPRINTS, text_config

FLOAT_TOLERANCE = 1e-6
"""The metadata's floats have 24 bits, the config's 53."""


class DifferentSize(NamedTuple):
    """A size that differs: the metadata's key, the config's member, and both values."""

    key: str
    member: str
    ours: int
    theirs: int


def check_config(
    metadata: Metadata, sizes: Mapping[str, int], config: Mapping[str, Any], defects: FileFindings
) -> None:
    """Note each difference.

    Args:
        metadata: The metadata of the GGUF.
        sizes: The sizes of the GGUF, as far as they are known.
        config: Members of the original config.json.
        defects: Takes a finding for each difference.
    """
    text = text_config(config)
    _check_sizes(sizes, text, defects)
    for rule in deepseek2().values:
        theirs = config_value(rule, text)
        ours = metadata.of(rule.key)
        ours = rule.absent if ours is None else ours
        if theirs is not None and ours is not None and not _equal(ours, theirs):
            defects.add(
                "gguf-config-value",
                f"{rule.config[0]} differs from the config",
                at=f"key {full_key(rule.key)}",
                expected=theirs,
                actual=ours if metadata.of(rule.key) is not None else f"absent, which is {ours}",
            )


def other_sizes(sizes: Mapping[str, int], config: Mapping[str, Any]) -> Iterator[DifferentSize]:
    """The sizes that are not the config's.

    Args:
        sizes: Of the GGUF, as far as they are known.
        config: Members of the text model's config.
    """
    found = dict(sizes)
    if "layers" in found:
        found["layers"] -= found.get("mtp_layers", 0)
    theirs = config_sizes(config)
    for rule in deepseek2().sizes:
        ours, expected = found.get(rule.name), theirs.get(rule.name)
        # Files from before the converter wrote the groups of experts have none.
        lacking = rule.name == "expert_groups" and not ours
        if ours is not None and expected is not None and ours != expected and not lacking:
            member = rule.config
            yield DifferentSize(full_key(rule.key), member, ours, expected)


def _check_sizes(sizes: Mapping[str, int], text: Mapping[str, Any], defects: FileFindings) -> None:
    for key, member, ours, theirs in other_sizes(sizes, text):
        _report_size(f"key {key}", member, ours, theirs, defects)
    rows, tokens = sizes.get("vocabulary"), text.get("vocab_size")
    if rows is not None and type(tokens) is int and rows != tokens:
        _report_size("tensor token_embd.weight", "vocab_size", rows, tokens, defects)


def _report_size(at: str, member: str, ours: int, theirs: int, defects: FileFindings) -> None:
    defects.add(
        "gguf-config-size",
        f"{member} differs from the config",
        at=at,
        expected=f"{theirs:,}",
        actual=f"{ours:,}",
    )


def _equal(ours: object, theirs: object) -> bool:
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return abs(ours - theirs) <= FLOAT_TOLERANCE * max(abs(ours), abs(theirs))
    return ours == theirs


def family_member(metadata: Metadata) -> str | None:
    """The model of the family that the metadata describe, by the fingerprint of the router.

    Files from before the converter wrote the expert groups are recognised by the scale alone.
    """
    said = {
        rule.config[0]: metadata.of(rule.key)
        for rule in deepseek2().values
        if rule.config and metadata.of(rule.key) is not None
    }
    groups = metadata.of("expert_group_count")
    if groups is not None:
        said["n_group"] = groups
    for model_type, fingerprint in FINGERPRINTS.items():
        known = {name: value for name, value in fingerprint.items() if name in said}
        if "routed_scaling_factor" in known and all(
            _equal(said[name], value) for name, value in known.items()
        ):
            return model_type
    return None
