"""Model types outside of the family, in configs that still describe a model of the family.

`sed s/kimi_k2/deepseek_v3/` turns kimi_k25 into deepseek_v35; forks and new releases have types of
their own. The type is an error; everything else is judged as the family member that the config
describes.
"""

from collections.abc import Mapping
from typing import Any

from k2compat.checkpoint.reporting import FileFindings
from k2compat.family import (
    OTHER_ARCHITECTURES,
    RELATIVES,
    SED_ACCIDENTS,
    SWITCHABLE,
    WRAPPERS,
    fingerprint_of,
)
from k2compat.findings import Finding, Fix
from k2compat.printable import shortened

_TYPE = "model_type"


def assume_member(
    config: Mapping[str, Any], where: str
) -> tuple[Mapping[str, Any], tuple[Finding, ...]]:
    """The config with the model type that its other members describe, and a finding about it.

    Args:
        config: The members of a config.json.
        where: Names the config in findings.

    Returns:
        The config itself where its type is known, or its other members do not show a model.
    """
    found = FileFindings(where)
    for wrapper, member in WRAPPERS.items():
        inner = config.get(member)
        if isinstance(inner, dict):
            changed = _assume(inner, fingerprint_of(inner), f"{member}.{_TYPE}", where, found)
            accident = SED_ACCIDENTS.get(str(config.get(_TYPE)))
            is_text = changed.get(_TYPE, SWITCHABLE[0]) in SWITCHABLE
            likely = accident or (wrapper if is_text and fingerprint_of(inner) else None)
            outer = _assume(config, likely, _TYPE, where, found)
            return {**outer, member: changed}, found.findings()
    return _assume(config, fingerprint_of(config), _TYPE, where, found), found.findings()


def _assume(
    config: Mapping[str, Any], likely: str | None, at: str, where: str, found: FileFindings
) -> Mapping[str, Any]:
    own = config.get(_TYPE)
    known = {*SWITCHABLE, *WRAPPERS, *RELATIVES, *OTHER_ARCHITECTURES}
    if likely is None or not isinstance(own, str) or own in known:
        return config
    found.add(
        "architecture-model-type",
        f"the model_type {shortened(own)} is not of the family: everything else was judged as "
        f"{likely}, which the config describes",
        at=at,
        expected=likely,
        actual=own,
        fix=_fix(own, likely, where),
    )
    return {**config, _TYPE: likely}


def _fix(own: str, likely: str, where: str) -> Fix | None:
    """The fix for a known accident; any other type may be intended."""
    if SED_ACCIDENTS.get(own) != likely or "://" in where:
        return None
    return ("sed", "-i", f's/"{own}"/"{likely}"/', where)
