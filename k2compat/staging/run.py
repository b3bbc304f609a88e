"""One whole staging, from the named folders to the findings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from k2compat.config import Patch, cost_of, plan_patch
from k2compat.errors import RefusedError
from k2compat.family import CONFIG_FILE
from k2compat.files import exclusive, explained_reading, read_regular
from k2compat.findings import Finding, Report, Severity, explanation
from k2compat.hub import RemoteRepo
from k2compat.staging.apply import LinkMode, apply_plan
from k2compat.staging.plan import StagingPlan, plan_staging
from k2compat.staging.report import plan_findings
from k2compat.staging.result import check_plan
from k2compat.staging.source import ModelFiles, list_source, read_source
from k2compat.staging.target import find_staging_target

# With these GGUFs KTransformers cannot serve the model, whatever is staged.
_POINTLESS = frozenset(
    {"gguf-split-mixed", "ktransformers-other-architecture", "ktransformers-other-model"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingRequest:
    """The request of a staging.

    Attributes:
        model: The model's folder, text as the user typed it; or its repo, listed.
        gguf_folder: The folder that holds the GGUFs.
        into: A folder of its own for the files and links to the GGUFs.
        mode: How the bytes get there.
        patch_to: The model_type that the staged config gets.
        follow_links: Accept links that lead out of the model's folder.
        exclude: Shell patterns of files to leave out.
        force: Replace files that differ.
    """

    model: Path | str | RemoteRepo
    gguf_folder: Path
    into: Path | None = None
    mode: LinkMode = LinkMode.AUTO
    patch_to: str | None = None
    follow_links: bool = False
    exclude: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True, slots=True)
class Staging:
    """The result of a staging, or of its plan.

    Attributes:
        source: The model's files.
        plan: The plan, with the action for each file.
        report: The findings, with those of the check for KTransformers.
    """

    source: ModelFiles
    plan: StagingPlan
    report: Report


def stage(
    request: StagingRequest,
    *,
    write: bool = True,
    waiting: Callable[[], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Staging:
    """Stage a model's files.

    Args:
        request: The request.
        write: False to plan only.
        waiting: Called once if another k2compat holds the target.
        progress: Called with the number of bytes of each file that is ready.

    Raises:
        RefusedError: A folder is not suitable, a file is not of the right kind or cannot be read,
            or the GGUFs are not those of one model with this config; nothing was changed.
        HubError: The Hub does not give a file as it listed it.
        WriteError: The system refused; each file is absent, old or new, never in between.
    """
    source = _source(request)
    target = find_staging_target(request.gguf_folder, source.folder, request.into)
    patch = _patch(source, request.patch_to)
    contents = {} if patch is None else {CONFIG_FILE: patch.new}
    plan = plan_staging(source, target, contents=contents, force=request.force)
    checked = check_plan(plan)
    _refuse_pointless(checked, target.folder)
    applied: tuple[Finding, ...] = ()
    if write:
        with exclusive(target.folder, waiting, make=True) as folder:
            # Another k2compat may have staged the same files while this one waited.
            plan = plan_staging(source, target, contents=contents, force=request.force)
            applied = apply_plan(plan, folder, request.mode, progress=progress)
    findings = (*plan_findings(plan, source), *_cost(patch, plan.target), *applied, *checked)
    return Staging(source, plan, Report(findings))


def _refuse_pointless(findings: Iterable[Finding], target: Path) -> None:
    """Refuse a run whose result KTransformers cannot serve, whatever is staged.

    Raises:
        RefusedError: With the code of the first such finding.
    """
    for finding in findings:
        if finding.code in _POINTLESS:
            raise RefusedError(
                finding.code,
                f"{_with_place(finding, target)}. Nothing was staged in {target}.",
                hint=finding.fix or explanation(finding.code).cure,
            )


def _with_place(finding: Finding, target: Path) -> str:
    """The message, with the path of its file if that is in a folder below the target."""
    message = finding.message.removesuffix(".")
    where = Path(finding.where)
    if where.parent == target or not where.is_relative_to(target):
        return message
    relative = str(where.relative_to(target))
    if message.startswith(where.name):
        return f"{relative}{message.removeprefix(where.name)}"
    return message if where == target else f"{relative}: {message}"


def _source(request: StagingRequest) -> ModelFiles:
    if isinstance(request.model, RemoteRepo):
        return list_source(request.model, exclude=request.exclude)
    return read_source(request.model, follow_links=request.follow_links, exclude=request.exclude)


def _patch(source: ModelFiles, to: str | None) -> Patch | None:
    config = next((file for file in source.files if file.relative == CONFIG_FILE), None)
    if to is None or config is None:
        return None
    if config.remote is not None:
        data = config.remote.content()
    else:
        with explained_reading(config.path):
            data = read_regular(config.path)
    try:
        return plan_patch(data, to=to, where=str(config.path))
    except RefusedError as error:
        if error.code != "model-type-nested":
            raise
        hint = f"Leave --patch-to out, then: k2compat patch-config DIR --to {to} --at text_config"
        raise RefusedError(error.code, error.message, hint=hint) from error


def _cost(patch: Patch | None, target: Path) -> tuple[Finding, ...]:
    """The costs of the patch, without alternatives in other engines, which do not use the GGUF."""
    if patch is None:
        return ()
    findings = cost_of(patch.target, patch.at, str(target / CONFIG_FILE))
    return tuple(finding for finding in findings if finding.severity is not Severity.INFO)
