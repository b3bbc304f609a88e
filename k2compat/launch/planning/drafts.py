"""The draft of a plan: whether engine and model support it, and its memory on a GPU. Pure."""

from collections.abc import Iterator

from k2compat.errors import RefusedError
from k2compat.findings import Finding
from k2compat.launch.engines import Profile
from k2compat.launch.memory import DraftSizes, ModelSizes, eagle3_sizes, mtp_sizes
from k2compat.launch.request import MTP, Draft, Request, check_draft

_OPTION = "--draft"


def demand_draft(draft: Draft, request: Request, profile: Profile) -> Iterator[Finding]:
    """Check that a draft fits the model.

    Raises:
        RefusedError: draft-not-offered, where no entry of the engine's profile renders one.
    """
    if request.profile == "guide":
        raise RefusedError(
            "draft-not-offered",
            "The guide's commands are rendered to the letter, without a draft.",
            hint="Leave --profile guide out.",
        )
    if not any(draft.kind in entry.when for entry in profile.rendered):
        raise RefusedError(
            "draft-not-offered",
            f"No draft is rendered for {request.engine}.",
            hint=profile.refused.get(_OPTION, "Take vllm or sglang."),
        )
    yield from draft.findings
    yield from check_draft(draft, request.model)


def draft_sizes(draft: Draft, sizes: ModelSizes) -> DraftSizes | None:
    """The memory of a draft; None where its config lacks a dimension."""
    if draft.kind == MTP:
        return mtp_sizes(sizes, draft.config)
    return eagle3_sizes(draft.config, draft.stored)
