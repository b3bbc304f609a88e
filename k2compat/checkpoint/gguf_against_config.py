"""Hold a GGUF's metadata and sizes against the config of the model it was made from.

The file alone cannot tell that it is of another model, or that a converter wrote a wrong
number into metadata and tensors alike; the original's config can.
"""

from collections.abc import Mapping
from typing import Any

from k2compat.checkpoint.defects import Defects
from k2compat.checkpoint.gguf_metadata import Metadata, full_key
from k2compat.checkpoint.gguf_rules import config_sizes, config_value, deepseek2
from k2compat.family import FINGERPRINTS, WRAPPERS

FLOAT_TOLERANCE = 1e-6
"""The metadata's floats have 24 bits, the config's 53."""


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The members that describe the text model, which is all that a GGUF of it holds."""
    wrapped = config.get(WRAPPERS.get(str(config.get("model_type")), ""))
    return wrapped if isinstance(wrapped, Mapping) else config


def check_config(
    metadata: Metadata, sizes: Mapping[str, int], config: Mapping[str, Any], defects: Defects
) -> None:
    """Note each difference.

    Args:
        metadata: Of the GGUF.
        sizes: Of the GGUF, as far as they are known.
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
                f"the config's {rule.config[0]} is another",
                at=f"key {full_key(rule.key)}",
                expected=theirs,
                actual=ours if metadata.of(rule.key) is not None else f"absent, which is {ours}",
            )


def _check_sizes(sizes: Mapping[str, int], text: Mapping[str, Any], defects: Defects) -> None:
    found = dict(sizes)
    if "layers" in found:
        found["layers"] -= found.get("mtp_layers", 0)
    theirs = config_sizes(text)
    if type(text.get("vocab_size")) is int:
        theirs["vocabulary"] = text["vocab_size"]
    places = {rule.name: f"key {full_key(rule.key)}" for rule in deepseek2().sizes}
    places["vocabulary"] = "tensor token_embd.weight"
    members = {
        rule.name: " + ".join(" * ".join(product) for product in rule.config)
        for rule in deepseek2().sizes
    }
    members["vocabulary"] = "vocab_size"
    for name, size in theirs.items():
        # Files from before the converter wrote groups have none.
        if name in found and found[name] != size and (found[name] or name != "expert_groups"):
            defects.add(
                "gguf-config-size",
                f"the config's {members[name]} is another",
                at=places[name],
                expected=f"{size:,}",
                actual=f"{found[name]:,}",
            )


def _equal(ours: object, theirs: object) -> bool:
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return abs(ours - theirs) <= FLOAT_TOLERANCE * max(abs(ours), abs(theirs))
    return ours == theirs


def family_member(metadata: Metadata) -> str | None:
    """Which of the family's models the metadata describe, by the fingerprint of the router.

    Files from before the converter wrote the expert groups are told by the scale alone.
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
