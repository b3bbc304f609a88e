"""How the weights that are there are really stored, whatever the config says.

Names tell it: FP8 in blocks has `weight_scale_inv`, packed INT4 has `weight_packed`. To know it
before tensors are compared turns a finding for each of a hundred thousand into one.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from k2compat.checkpoint.model import (
    PLAIN,
    Architecture,
    IgnoreList,
    Quantization,
    without_ignore_list,
)
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.comparison import Comparison
from k2compat.findings import Finding

# The family's own settings stand in for those that a config does not give.
_OBSERVED: Final = {
    "weight_scale_inv": Quantization("fp8", "fp8", {"b0": 128, "b1": 128}),
    "weight_packed": Quantization(
        "int4",
        "int4",
        {"packed": 8, "group": 32},
        bits=4,
        ignore=IgnoreList(
            (
                "lm_head",
                "re:.*self_attn.*",
                "re:.*shared_experts.*",
                r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
            )
        ),
    ),
}
_PROJECTION: Final = "_proj."
_LAYER: Final = re.compile(r"((?:[a-z_]{1,40}\.){0,8})layers\.[0-9]{1,9}\.(?:self_attn|mlp)\.")
_MODEL: Final = "model."


def observe(names: Iterable[str]) -> Quantization | None:
    """The quantisation that names of tensors tell; None where they tell nothing."""
    plain = None
    for name in names:
        if _PROJECTION in name:
            found = _OBSERVED.get(name.rpartition(".")[2])
            if found is not None:
                # A list has one time limit: each checkpoint gets its own.
                return replace(found, ignore=IgnoreList(found.ignore.patterns))
            plain = PLAIN
    return plain


def rename(
    root: str, architecture: Architecture, names: Iterable[str]
) -> tuple[Architecture | None, tuple[Finding, ...]]:
    """The architecture under the names that the tensors have, and a finding where they differ.

    Args:
        root: Names the checkpoint.
        architecture: As the config has it.
        names: Of the tensors.

    Returns:
        None where the rules cannot follow the names.
    """
    start = architecture.prefix + _MODEL
    found = None
    for name in names:
        if name.startswith(start):
            return architecture, ()
        match = _LAYER.match(name) if found is None else None
        found = match[1] if match else found
    if found is None:
        return architecture, ()
    defects = FileFindings(root)
    defects.add(
        "tensor-prefix",
        f"no tensor's name begins with {start}, those of the layers begin with {found or 'layers'}",
        expected=start,
        actual=found or "nothing before layers",
    )
    if not f".{found}".endswith(f".{_MODEL}"):
        return None, defects.findings()
    return replace(architecture, prefix=found.removesuffix(_MODEL)), defects.findings()


def reconcile(
    architecture: Architecture, observed: Quantization | None, where: str
) -> tuple[Architecture, tuple[Finding, ...]]:
    """The architecture as the weights are stored, and a finding where that is not the config's.

    Args:
        architecture: As the config has it.
        observed: What `observe` found.
        where: Names the config.
    """
    said = architecture.quantization
    if observed is None or not said.is_known or observed.scheme == said.scheme:
        return architecture, ()
    defects = FileFindings(where)
    if said.scheme == "":
        defects.add(
            "quantization-undeclared",
            f"the weights are {observed.name}, and the config has no quantization_config",
            at="quantization_config",
            expected=observed.name,
            actual="nothing",
        )
    else:
        defects.add(
            "quantization-mismatch",
            f"the config says {said.name}, the weights are "
            f"{observed.name if observed.scheme else 'not quantised'}",
            at="quantization_config",
            expected=observed.name,
            actual=said.name,
        )
    return replace(architecture, quantization=observed), defects.findings()


def settle(
    architecture: Architecture | None, where: str
) -> tuple[Architecture | None, Comparison, tuple[Finding, ...]]:
    """The comparison with an architecture, and the architecture as far as it can be followed.

    Args:
        architecture: As the config has it, or None.
        where: Names the config.
    """
    comparison = Comparison(architecture)
    if architecture is None or not architecture.quantization.ignore.is_exhausted:
        return architecture, comparison, ()
    defects = FileFindings(where)
    quantization = without_ignore_list(architecture.quantization, defects)
    architecture = replace(architecture, quantization=quantization)
    return architecture, Comparison(architecture), defects.findings()
