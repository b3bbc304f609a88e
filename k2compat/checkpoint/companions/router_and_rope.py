"""Settings of the config that change no tensor: positions (rope) and the router's choice.

A model with a lost rope setting loads, answers short prompts, and fails on long ones.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

from k2compat.checkpoint.reporting import FileFindings
from k2compat.family import KIMI_K2, fingerprint_of, text_config
from k2compat.findings import Finding
from k2compat.printable import counted

_SCALING: Final = "rope_scaling"
_PARAMETERS: Final = "rope_parameters"
_ORIGINAL: Final = "original_max_position_embeddings"
_THETA: Final = {KIMI_K2: 50_000, "deepseek_v3": 10_000}
"""rope_theta by fingerprint."""

_SHARED: Final = ("factor", _ORIGINAL, "beta_fast", "beta_slow", "mscale", "mscale_all_dim")


def check_settings(where: str, config: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Find settings of rope and router that contradict each other, or are missing.

    Args:
        where: Names the config.
        config: The members of a config.json.
    """
    found = FileFindings(where)
    text = text_config(config)
    _check_rope(text, found)
    _check_theta(text, found)
    _check_router(text, found)
    return found.findings()


def _check_rope(text: Mapping[str, Any], found: FileFindings) -> None:
    scaling, parameters = _object(text, _SCALING), _object(text, _PARAMETERS)
    context = text.get("max_position_embeddings")
    if not scaling and not _is_scaled(parameters):
        if fingerprint_of(text) is not None and _is_number(context) and context > 4096:
            found.add(
                "rope-lost",
                "neither rope_scaling nor rope_parameters scales the positions, though the model "
                f"was trained to read {counted(int(context), 'token')} that way: engines then "
                "scale nothing",
                at=_SCALING,
                expected="yarn over 4096 positions",
                actual="nothing",
            )
        return
    for name in _SHARED if scaling and _is_scaled(parameters) else ():
        if scaling.get(name) != parameters.get(name):
            found.add(
                "rope-conflict",
                f"rope_scaling and rope_parameters differ in {name}: Transformers 5 reads "
                "rope_parameters, vLLM and SGLang releases of its time read rope_scaling",
                at=name,
                expected=scaling.get(name),
                actual=parameters.get(name),
            )
    if not scaling:
        found.add(
            "rope-parameters-only",
            "only rope_parameters scales the positions: code that reads rope_scaling scales "
            "nothing (SGLang issue 14745, slime issue 1734, DeepSpeed issue 8341)",
            at=_PARAMETERS,
        )
    used = scaling or parameters
    factor, original = used.get("factor"), used.get(_ORIGINAL)
    if (
        _is_number(factor)
        and _is_number(original)
        and _is_number(context)
        and factor * original != context
    ):
        found.add(
            "rope-length",
            f"{factor:g} × {original:,} positions are not max_position_embeddings",
            at=_SCALING if scaling else _PARAMETERS,
            expected=f"{factor * original:g}",
            actual=context,
        )


def _check_theta(text: Mapping[str, Any], found: FileFindings) -> None:
    fingerprint = fingerprint_of(text)
    values = {
        member: value
        for member, value in (
            ("rope_theta", text.get("rope_theta")),
            (f"{_PARAMETERS}.rope_theta", _object(text, _PARAMETERS).get("rope_theta")),
        )
        if value is not None
    }
    expected = _THETA.get(fingerprint or "")
    if expected is None:
        return
    if not values:
        found.add(
            "rope-theta",
            "rope_theta is missing: engines then take 10000",
            at="rope_theta",
            expected=expected,
            actual="nothing",
        )
    for member, value in values.items():
        if value != expected:
            found.add(
                "rope-theta",
                f"{member} is not the one that the model was trained with",
                at=member,
                expected=expected,
                actual=value,
            )


def _check_router(text: Mapping[str, Any], found: FileFindings) -> None:
    numbers = {
        name: text.get(name)
        for name in ("n_routed_experts", "num_experts_per_tok", "n_group", "topk_group")
    }
    experts, chosen, groups, kept = (
        value if type(value) is int and value > 0 else None for value in numbers.values()
    )
    for name, message in _router_problems(experts, chosen, groups, kept):
        found.add(
            "router-setting",
            message,
            at=name,
            actual=", ".join(f"{member} {value}" for member, value in numbers.items()),
        )


def _router_problems(
    experts: int | None, chosen: int | None, groups: int | None, kept: int | None
) -> Iterator[tuple[str, str]]:
    if experts is None:
        return
    if chosen is None or chosen > experts:
        yield (
            "num_experts_per_tok",
            f"a token cannot use {chosen or 'no number of'} of {counted(experts, 'expert')}",
        )
    if groups is None or kept is None:
        return
    if experts % groups:
        yield (
            "n_group",
            f"{counted(experts, 'expert')} cannot be divided into {counted(groups, 'group')}",
        )
    elif kept > groups:
        yield "topk_group", f"{kept} of {counted(groups, 'group')} cannot be kept"
    elif chosen is not None and chosen > experts // groups * kept:
        yield (
            "topk_group",
            f"{counted(kept, 'group')} cannot hold the {counted(chosen, 'expert')} of a token",
        )


def _object(text: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = text.get(name)
    return value if isinstance(value, dict) else {}


def _is_scaled(parameters: Mapping[str, Any]) -> bool:
    # Without scaling Transformers 5 writes {"rope_theta": …, "rope_type": "default"}.
    return "factor" in parameters


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
