"""Bring a model's files, all but its weights, beside its GGUFs.

    model's folder ── source ──▶ Source ─┐
                                         ├─ plan ──▶ Plan ── apply ──▶ files, findings
    GGUF folder ─── target ──▶ target ───┘

A plan says of each file whether it is new, the same or in conflict. Applying it prepares all
files out of sight first, so that a refusal of the system leaves the target as it was.
"""

from k2compat.staging.apply import LinkMode
from k2compat.staging.plan import Action, Plan, PlannedFile
from k2compat.staging.source import Source, SourceFile
from k2compat.staging.stage import Request, Staging, stage

__all__ = [
    "Action",
    "LinkMode",
    "Plan",
    "PlannedFile",
    "Request",
    "Source",
    "SourceFile",
    "Staging",
    "stage",
]
