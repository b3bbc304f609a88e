"""Comparison of the bytes of a checkpoint's files with their known hashes."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.hashes.check import check_hashes
    from k2compat.checkpoint.hashes.known import KnownHash
    from k2compat.checkpoint.hashes.plan import HashPlan, plan_hashes
    from k2compat.checkpoint.hashes.results import HashCheck, HashedFile, HashOutcome

__all__ = [
    "HashCheck",
    "HashOutcome",
    "HashPlan",
    "HashedFile",
    "KnownHash",
    "check_hashes",
    "plan_hashes",
]

_HOMES = {
    "HashCheck": "results",
    "HashPlan": "plan",
    "HashedFile": "results",
    "KnownHash": "known",
    "HashOutcome": "results",
    "check_hashes": "check",
    "plan_hashes": "plan",
}

__getattr__ = lazy_names(__name__, _HOMES)
