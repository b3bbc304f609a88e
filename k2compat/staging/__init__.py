"""Staging of a model's files, except its weights, in the folder of its GGUFs.

    model's folder ── source ──▶ ModelFiles ─┐
                                             ├─ plan ──▶ StagingPlan ── apply ──▶ files, findings
    GGUF folder ─── target ──▶ StagingTarget ┘

In a plan each file is new, the same or in conflict. Applying a plan first prepares all files under
hidden names, so that a refusal of the system leaves the target unchanged.
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
