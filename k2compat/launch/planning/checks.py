"""Checks of a plan against the model: whether it can be divided in this way, and fits. Pure.

The memory that the engine may use, the context and the cache's type are read from the commands
themselves, so that the user's own flags count, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding, Severity
from k2compat.launch.engines import BatchFlags, MemoryFlags, memory_flags_of
from k2compat.launch.flags import flag_table, has_word, values_of
from k2compat.launch.memory import (
    DEFAULT_UTILISATION,
    OVERHEAD_GIB,
    Fit,
    Layout,
    ModelDimensions,
    ModelSizes,
    Verdict,
    check_batch_sizes,
    check_divisibility,
    check_formats,
    check_sequence_count,
    check_world_size,
    estimate_fit,
    gpu_facts,
    gpu_memory_gib,
    model_dimensions,
    model_sizes,
    smallest_gpus,
)
from k2compat.launch.plan import Plan
from k2compat.launch.request import role_of
from k2compat.printable import counted

_codes = Codes("launch")

_MOST = 0.98  # the driver keeps the rest for itself

_SMALL_LETTER_SIZES = {"k": 1000, "m": 1000**2}
_CAPITAL_SIZES = {"K": 1024, "M": 1024**2}


def check_plan(
    plan: Plan, config: Mapping[str, Any], loaded: tuple[int, int] | None = None
) -> Iterator[Finding]:
    """Find parts of the model that a plan does not divide evenly, and whether it fits its GPUs.

    Args:
        plan: The plan.
        config: The members of the model's config.json.
        loaded: See `model_sizes`.
    """
    dimensions = model_dimensions(config)
    gpus = plan.cluster.gpus_per_node
    if isinstance(dimensions, Finding):
        for group, layout in _distinct(plan).items():
            yield from check_world_size(layout, plan.cluster.size(group), gpus)
        yield dimensions
        return
    flags = memory_flags_of(plan.engine)
    for group, layout in _distinct(plan).items():
        nodes = plan.cluster.size(group)
        uneven = _spreads_unevenly(plan.engine, _arguments(plan, group))
        yield from check_divisibility(dimensions, layout, nodes, gpus, uneven_experts=uneven)
        yield from _check_batches(plan, group, flags.batch)
    if plan.cluster.gpu is not None:
        yield from _check_gpu(plan, plan.cluster.gpu, flags, dimensions)
    if flags.not_estimated:
        yield _codes.finding(
            "fit-skipped",
            plan.engine,
            f"Whether the model fits is not estimated: {flags.not_estimated}.",
        )
        return
    sizes = model_sizes(config, loaded)
    if isinstance(sizes, Finding):
        yield sizes
    elif plan.cluster.gpu is None:
        for group in _distinct(plan):
            yield from _check_without_gpu(plan, group, sizes)
    else:
        yield from _check_fits(plan, sizes)


def _distinct(plan: Plan) -> Mapping[str, Layout]:
    """Group → layout; of several groups with one role and one size only the first."""
    seen: set[tuple[str, int, Layout]] = set()
    found: dict[str, Layout] = {}
    for group, layout in plan.layouts.items():
        kind = (role_of(group), plan.cluster.size(group), layout)
        if kind not in seen:
            seen.add(kind)
            found[group] = layout
    return found


def _spreads_unevenly(engine: str, words: Sequence[str]) -> bool:
    """Whether an engine, with these flags, spreads experts that do not divide evenly."""
    parallel = memory_flags_of(engine).parallel
    return (
        parallel is not None
        and parallel.uneven_experts
        and not any(has_word(words, word) for word in parallel.even_experts_with)
    )


def _check_gpu(
    plan: Plan, gpu: str, flags: MemoryFlags, model: ModelDimensions
) -> Iterator[Finding]:
    """Find GPUs that do not fit the engine, the weights or the number of heads."""
    facts = gpu_facts(gpu)
    if facts and flags.vendors and facts.isdisjoint(flags.vendors):
        yield _codes.finding(
            "engine-not-for-gpu",
            "--gpu",
            f"{plan.engine} does not run on {gpu}.",
            expected=f"a GPU of {' or '.join(flags.vendors).upper()}",
            actual=gpu,
            fix="Take vllm or sglang.",
        )
        return
    yield from check_formats(model.precision, gpu, weight_only=flags.unpacks_fp4)
    if "amd" not in facts or flags.amd_heads == 1:
        return
    step = flags.amd_heads
    for layout in plan.layouts.values():
        if model.heads % (step * layout.tensor_parallel):
            most = model.heads // step
            yield _codes.finding(
                "heads-per-gpu",
                str(layout),
                f"{layout} leaves each GPU {model.heads / layout.tensor_parallel:g} heads: "
                f"AMD's MLA kernels take multiples of {step}, so slower ones are used.",
                expected=f"TP {most} or a divisor of it",
                actual=f"TP {layout.tensor_parallel}",
            )


def _errors(findings: Iterator[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if finding.severity is Severity.ERROR)


def _check_without_gpu(plan: Plan, group: str, sizes: ModelSizes) -> Iterator[Finding]:
    """The memory that a GPU must have, where none was named, and the smallest such GPU."""
    flags = memory_flags_of(plan.engine)
    suitable = (
        (name, _fit(plan, group, sizes, gib))
        for name, gib in smallest_gpus().items()
        if not any(_errors(_check_gpu(plan, name, flags, sizes)))
    )
    for name, fit in suitable:
        if fit.verdict is not Verdict.DOES_NOT_FIT:
            yield _codes.finding(
                "fit-by-weights",
                "--gpu",
                f"{_needed(fit)}: the smallest GPU in the table that holds them with "
                f"{_context(fit)} is {name}.",
                fix="Name yours, so that the fit is checked: --gpu NAME",
            )
            return
    gpus = plan.cluster.gpus_per_node + plan.cluster.gpus_idle
    nodes = plan.cluster.size(group)
    from k2compat.launch.memory import nearest_fit  # lazy: only this case needs it

    near = nearest_fit(sizes, fit, nodes=nodes, gpus_per_node=gpus)
    yield _codes.finding(
        "no-gpu-holds",
        str(fit.layout),
        f"{_needed(fit)}: no GPU in the table holds them with {_context(fit)}.",
        fix=f"With {name} this fits: {near}." if near else None,
    )


def _needed(fit: Fit) -> str:
    return f"{fit.layout} puts {fit.weights_gib:.1f} GiB of weights on each GPU"


def _context(fit: Fit) -> str:
    return f"{counted(fit.context, 'token')} of context"


def _check_fits(plan: Plan, sizes: ModelSizes) -> Iterator[Finding]:
    from k2compat.launch.memory import check_fit  # lazy: only for a named GPU

    flags = memory_flags_of(plan.engine)
    gpus = plan.cluster.gpus_per_node
    for group, fit in fits_of(plan, sizes).items():
        nodes = plan.cluster.size(group)
        yield from check_fit(
            sizes,
            fit,
            nodes=nodes,
            gpus_per_node=gpus + plan.cluster.gpus_idle,
            decode_context=_decode_context_flag(plan, group),
        )
        if flags.sequences:
            count = _size(_value(_arguments(plan, group), *flags.sequences))
            yield from check_sequence_count(fit, count)


def fits_of(plan: Plan, sizes: ModelSizes) -> Mapping[str, Fit]:
    """The sum of each group of nodes, once for equal groups; none where no GPU is named.

    Raises:
        RefusedError: unknown-gpu.
    """
    flags = memory_flags_of(plan.engine)
    if plan.cluster.gpu is None or flags.not_estimated:
        return {}
    gib = gpu_memory_gib(plan.cluster.gpu)
    return {group: _fit(plan, group, sizes, gib) for group in _distinct(plan)}


def _decode_context_flag(plan: Plan, group: str) -> str:
    """The flag for decode context parallelism of the engine's parser at this version, or ""."""
    parallel, server = memory_flags_of(plan.engine).parallel, plan.server(group)
    if parallel is None or server is None or server.entry is None:
        return ""
    table = flag_table(plan.engine, plan.engine_version, server.entry)
    return next((flag for flag in parallel.decode_context if table.find(flag)), "")


def _fit(plan: Plan, group: str, sizes: ModelSizes, gib: float) -> Fit:
    """The sum of a group, with what a draft takes."""
    flags = memory_flags_of(plan.engine)
    draft = None
    if plan.draft is not None:
        from k2compat.launch.planning.drafts import draft_sizes

        draft = draft_sizes(plan.draft, sizes)
    return estimate_fit(
        sizes,
        plan.layouts[group],
        gib,
        utilisation=_utilisation(plan, group, gib, flags),
        kv_cache_bytes=_cache_bytes(plan, group, flags, sizes.kv_cache_bytes),
        context=_size(_value(_arguments(plan, group), *flags.context)),
        draft=draft,
    )


def refusal_of(findings: Iterator[Finding] | Sequence[Finding]) -> RefusedError | None:
    """The refusal of a plan that cannot fit, with a plan that fits; None where it may fit.

    Other errors do not refuse a plan: it is shown together with them (exit 1). A plan that cannot
    fit is of no use.
    """
    for finding in findings:
        if finding.code == "does-not-fit":
            near = f"This fits: {finding.fix}. " if finding.fix else ""
            hint = f"{near}--explain-fit shows the sum, --force renders the plan all the same."
            return RefusedError(finding.code, finding.message, hint=hint)
    return None


def _check_batches(plan: Plan, group: str, flags: BatchFlags | None) -> Iterator[Finding]:
    layout = plan.layouts[group]
    if flags is None or layout.data_parallel == 1:
        return
    arguments = _arguments(plan, group)
    limit = _environment(plan, group, flags.dispatch_variable)
    yield from check_batch_sizes(
        layout.data_parallel,
        max_running_requests=_size(_value(arguments, *flags.running_requests)),
        chunked_prefill_size=_size(_value(arguments, *flags.prefill_chunk)),
        largest_cuda_graph=_size(_value(arguments, *flags.largest_graph)),
        dispatch_tokens=_size(limit) if flags.dispatch_needs in arguments else None,
    )


def _utilisation(plan: Plan, group: str, gib: float, flags: MemoryFlags) -> float:
    arguments = _arguments(plan, group)
    share = _fraction(_value(arguments, *flags.share))
    if share is not None:
        return share
    static = _fraction(_value(arguments, *flags.static_share))
    if static is not None:
        return min(_MOST, static + OVERHEAD_GIB / gib)
    return _default_share(plan, group, flags)


def _default_share(plan: Plan, group: str, flags: MemoryFlags) -> float:
    """The default of the engine's parser at that version: vLLM 0.9, and 0.92 in newer ones."""
    command = plan.server(group)
    if command is None or command.entry is None:
        return DEFAULT_UTILISATION
    table = flag_table(plan.engine, plan.engine_version, command.entry)
    defaults = (flag.default for flag in map(table.find, flags.share) if flag)
    return next((each for each in defaults if isinstance(each, float)), DEFAULT_UTILISATION)


def _fraction(value: str | None) -> float | None:
    try:
        share = float(value or "")
    except ValueError:
        return None
    return share if 0 < share <= 1 else None


def _cache_bytes(plan: Plan, group: str, flags: MemoryFlags, own: int) -> int:
    """Bytes of an element of the KV cache, by the type of a flag or of the checkpoint.

    The packed 4-bit types are counted as 1: with their scales they take more than a half.
    """
    kind = _value(_arguments(plan, group), *flags.cache_type) or "auto"
    if kind == "auto":
        return own
    return 1 if "8" in kind or "fp4" in kind else 2


def _size(value: str | None) -> int | None:
    """A number of tokens or requests in the forms of vLLM's parser: 8192, 128k, 128K."""
    scales = {**_SMALL_LETTER_SIZES, **_CAPITAL_SIZES}
    scale = scales.get(value[-1:], 1) if value else 1
    digits = value[:-1] if value and scale > 1 else value or ""
    return int(digits) * scale or None if digits.isascii() and digits.isdigit() else None


def _value(arguments: Sequence[str], *flags: str) -> str | None:
    """The last value of any of these flags."""
    return next(reversed(values_of(arguments, *flags)), None)


def _arguments(plan: Plan, group: str) -> Sequence[str]:
    command = plan.server(group)
    return [str(word) for word in command.argv] if command else []


def _environment(plan: Plan, group: str, name: str) -> str | None:
    command = plan.server(group)
    value = command.environment.get(name) if command else None
    return None if value is None else str(value)
