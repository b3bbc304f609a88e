"""KTransformers' verdict on the target, with the files of the plan."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

from k2compat.checkpoint import (
    BytesFile,
    FolderSource,
    ModelFolder,
    ReadableFile,
    check_ktransformers,
    demand_content,
    read_model_folder,
)
from k2compat.files import explained_reading
from k2compat.findings import Finding
from k2compat.staging.plan import PlannedFile, StagingAction, StagingPlan


def check_plan(plan: StagingPlan) -> tuple[Finding, ...]:
    """Check the target as if the plan were carried out; only small files are fetched from the Hub.

    Raises:
        RefusedError: not-readable.
        HubError: The Hub does not give a file as it listed it.
    """
    planned = {
        file.relative: file for file in plan.having(StagingAction.NEW, StagingAction.REPLACED)
    }
    with explained_reading(plan.target, "cannot be listed"):
        folder = read_model_folder(
            plan.target, {relative: file.origin for relative, file in planned.items()}
        )
    return tuple(check_ktransformers(folder, _PlannedSource(folder, planned)))


class _PlannedSource(FolderSource):
    """The target's files with those of the plan, whose bytes are elsewhere."""

    def __init__(self, folder: ModelFolder, planned: Mapping[str, PlannedFile]) -> None:
        super().__init__(str(folder.root), folder)
        self._planned = planned

    @cached_property
    def files(self) -> Mapping[str, int | None]:
        sizes = {relative: file.size for relative, file in self._planned.items()}
        return {**super().files, **sizes}

    def open(self, relative: str) -> AbstractContextManager[ReadableFile]:
        file = self._planned.get(relative)
        content = None if file is None else _content(file)
        if content is None:
            return super().open(relative)
        held = BytesFile(self.folder.root / relative, content)
        demand_content(held)
        return nullcontext(held)


def _content(file: PlannedFile) -> bytes | None:
    """The bytes that are not in a file of this machine."""
    if file.content is not None or file.remote is None:
        return file.content
    return file.remote.content()
