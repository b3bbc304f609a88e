"""How the weights that are there are really stored, whatever the config says.

Names tell it: FP8 in blocks has `weight_scale_inv`, packed INT4 has `weight_packed`. To know it
before tensors are compared turns a finding for each of a hundred thousand into one.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from k2compat.checkpoint.architecture import Architecture
from k2compat.checkpoint.defects import Defects
from k2compat.checkpoint.quantization import PLAIN, Quantization
from k2compat.findings import Finding

# The family's own settings stand in for those that a config does not give.
_OBSERVED: Final = {
    "weight_scale_inv": Quantization("fp8", "fp8", {"b0": 128, "b1": 128}),
    "weight_packed": Quantization(
        "int4",
        "int4",
        {"packed": 8, "group": 32},
        (
            "lm_head",
            "re:.*self_attn.*",
            "re:.*shared_experts.*",
            r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
        ),
    ),
}
_PROJECTION: Final = "_proj."


def observe(names: Iterable[str]) -> Quantization | None:
    """The quantisation that names of tensors tell; None where they tell nothing."""
    plain = None
    for name in names:
        if _PROJECTION in name:
            found = _OBSERVED.get(name.rpartition(".")[2])
            if found is not None:
                return found
            plain = PLAIN
    return plain


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
    defects = Defects(where)
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
