"""Bring a model's files, all but its weights, beside its GGUFs.

    model's folder ── source ──▶ ModelFiles ─┐
                                             ├─ plan ──▶ StagingPlan ── apply ──▶ files, findings
    GGUF folder ─── target ──▶ StagingTarget ┘

A plan says of each file whether it is new, the same or in conflict. Applying it prepares all
files out of sight first, so that a refusal of the system leaves the target as it was.
"""

from k2compat.staging.apply import LinkMode
from k2compat.staging.left_out import DOWNLOAD_NOT
from k2compat.staging.plan import PlannedFile, StagingAction, StagingPlan
from k2compat.staging.run import Staging, StagingRequest, stage
from k2compat.staging.source import ModelFiles, SourceFile

__all__ = [
    "DOWNLOAD_NOT",
    "LinkMode",
    "ModelFiles",
    "PlannedFile",
    "SourceFile",
    "Staging",
    "StagingAction",
    "StagingPlan",
    "StagingRequest",
    "stage",
]
