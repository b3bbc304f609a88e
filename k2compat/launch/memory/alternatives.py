"""The findings on a fit, and the nearest plans that fit."""

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from k2compat.findings import Codes, Finding
from k2compat.launch.memory.fit import OVERHEAD_GIB, Fit, Verdict, estimate_fit
from k2compat.launch.memory.layout import Layout, check_divisibility
from k2compat.launch.memory.sizes import ModelSizes
from k2compat.printable import counted

_codes = Codes("launch")

_MOST_NODES = 16
_CONTEXT_STEP = 1024
_LEAST_CONTEXT = 4096  # with a smaller context no chat with tools is possible


class Alternative(msgspec.Struct, frozen=True):
    """A plan that fits.

    Attributes:
        change: The difference, in words for a person.
        nodes: The nodes that it needs.
        fit: Its sum, with its layout, KV cache and context.
    """

    change: str
    nodes: int
    fit: Fit


def check_fit(
    sizes: ModelSizes, fit: Fit, *, nodes: int, gpus_per_node: int, decode_context: str = ""
) -> Iterator[Finding]:
    """Report that a plan does not fit, with a plan that fits; or that it is tight.

    Args:
        sizes: The model.
        fit: The plan's sum.
        nodes: Nodes of the plan.
        gpus_per_node: GPUs of each.
        decode_context: The engine's flag for decode context parallelism; "": it has none.
    """
    if fit.verdict is Verdict.FITS:
        return
    least, most = fit.tokens_range
    room = (
        f"the KV cache has room for {counted(fit.tokens, 'token')} "
        f"({least:,} to {most:,} within the error)"
    )
    if fit.verdict is Verdict.TIGHT:
        code, message = "fit-tight", f"It may not fit: {room}."
    elif fit.room_gib <= 0:
        code = "does-not-fit"
        message = (
            f"It does not fit: {fit.weights_gib:.1f} GiB of weights and about "
            f"{OVERHEAD_GIB} GiB of overhead are more than {fit.utilisation:g} of a GPU's "
            f"{fit.gpu_gib:.1f} GiB."
        )
    else:
        code, message = "does-not-fit", f"A context of this size does not fit: {room}."
    found = alternatives(
        sizes, fit, nodes=nodes, gpus_per_node=gpus_per_node, decode_context=decode_context
    )
    if fit.verdict is Verdict.TIGHT:  # another tight plan does not help
        found = [each for each in found if each.fit.verdict is Verdict.FITS]
    yield _codes.finding(
        code,
        str(fit.layout),
        message,
        expected=counted(fit.context, "token"),
        actual=counted(fit.tokens, "token"),
        fix="; or ".join(_as_advice(alternative) for alternative in found) or None,
    )


def nearest_fit(sizes: ModelSizes, refused: Fit, *, nodes: int, gpus_per_node: int) -> str | None:
    """The nearest plan that fits, in words for a person; None where none of them does."""
    found = alternatives(sizes, refused, nodes=nodes, gpus_per_node=gpus_per_node)
    return _as_advice(found[0]) if found else None


def _as_advice(alternative: Alternative) -> str:
    certain = "" if alternative.fit.verdict is Verdict.FITS else " (tight)"
    return f"{alternative.change}{certain}"


def alternatives(
    sizes: ModelSizes, refused: Fit, *, nodes: int, gpus_per_node: int, decode_context: str = ""
) -> list[Alternative]:
    """Plans that fit, at most one of each kind, the least change first.

    They are tried in this order: another division of the same GPUs; the KV cache divided among the
    tensor-parallel ranks (decode context parallelism); an FP8 KV cache; more nodes; the largest
    smaller context that fits, with the present KV cache and in FP8. If all plans of one kind are
    tight, the first of them comes after all plans that surely fit.
    """
    kinds = (
        _divided_otherwise(sizes, refused, nodes, gpus_per_node),
        _cut_cache(sizes, refused, nodes, decode_context),
        _smaller_cache(sizes, refused, nodes, gpus_per_node),
        _more_nodes(sizes, refused, nodes, gpus_per_node),
        *(
            _smaller_context(sizes, refused, nodes, gpus_per_node, kv_cache_bytes)
            for kv_cache_bytes in dict.fromkeys((refused.kv_cache_bytes, 1))
        ),
    )
    found = [best for kind in kinds if (best := _best(list(kind)))]
    return sorted(found, key=lambda alternative: alternative.fit.verdict is Verdict.TIGHT)


def _best(candidates: list[Alternative]) -> Alternative | None:
    """The first that surely fits, else the first that fits if the estimate is right."""
    for least in (0, 1):
        for candidate in candidates:
            fit = candidate.fit
            if (fit.tokens_range[0], fit.tokens)[least] >= fit.context:
                return candidate
    return None


def _divided_otherwise(
    sizes: ModelSizes, refused: Fit, nodes: int, gpus_per_node: int
) -> Iterator[Alternative]:
    for layout in _layouts(sizes, nodes, gpus_per_node):
        if layout != refused.layout:
            yield Alternative(f"{layout}", nodes, _again(sizes, refused, layout=layout))


def _cut_cache(sizes: ModelSizes, refused: Fit, nodes: int, flag: str) -> Iterator[Alternative]:
    """The same layout with the KV cache divided among the ranks, which else all have it whole."""
    ranks = refused.layout.tensor_parallel
    if not flag or refused.layout.decode_context_parallel > 1:
        return
    for parts in range(2, ranks + 1):
        if ranks % parts == 0:
            layout = replace(refused.layout, decode_context_parallel=parts)
            words = f"{layout} (--set {flag.lstrip('-')}={parts})"
            yield Alternative(words, nodes, _again(sizes, refused, layout))


def _smaller_cache(
    sizes: ModelSizes, refused: Fit, nodes: int, gpus_per_node: int
) -> Iterator[Alternative]:
    if refused.kv_cache_bytes > 1:
        for layout in _layouts(sizes, nodes, gpus_per_node, first=refused.layout):
            fit = _again(sizes, refused, layout=layout, kv_cache_bytes=1)
            divided = "" if layout == refused.layout else f"{layout} with "
            yield Alternative(f"{divided}an FP8 KV cache", nodes, fit)


def _more_nodes(
    sizes: ModelSizes, refused: Fit, nodes: int, gpus_per_node: int
) -> Iterator[Alternative]:
    for more in range(nodes + 1, _MOST_NODES + 1):
        for layout in _layouts(sizes, more, gpus_per_node):
            words = f"{layout} on {counted(more, 'node')} (--nodes {more})"
            yield Alternative(words, more, _again(sizes, refused, layout))


def _smaller_context(
    sizes: ModelSizes, refused: Fit, nodes: int, gpus_per_node: int, kv_cache_bytes: int
) -> Iterator[Alternative]:
    for layout in _layouts(sizes, nodes, gpus_per_node, first=refused.layout):
        whole = _again(sizes, refused, layout, kv_cache_bytes=kv_cache_bytes)
        for tokens in (whole.tokens_range[0], whole.tokens):
            context = tokens // _CONTEXT_STEP * _CONTEXT_STEP
            if _LEAST_CONTEXT <= context < refused.context:
                fit = _again(sizes, whole, layout, context=context)
                divided = "" if layout == refused.layout else f"{layout} with "
                cache = "" if kv_cache_bytes == refused.kv_cache_bytes else "an FP8 KV cache and "
                words = f"{divided}{cache}a context of {counted(context, 'token')}"
                words += f" (--context {context})"
                yield Alternative(words, nodes, fit)


def _layouts(
    sizes: ModelSizes, nodes: int, gpus_per_node: int, first: Layout | None = None
) -> Iterator[Layout]:
    """Layouts that the model allows on these GPUs: TP as wide as possible, then PP over nodes."""
    if first is not None:
        yield first
    gpus = nodes * gpus_per_node
    for tensor in range(gpus, 0, -1):
        layout = Layout(tensor, pipeline_parallel=gpus // tensor)
        allowed = not list(check_divisibility(sizes, layout, nodes, gpus_per_node))
        if allowed and layout != first:
            yield layout


def _again(
    sizes: ModelSizes,
    refused: Fit,
    layout: Layout | None = None,
    *,
    kv_cache_bytes: int | None = None,
    context: int | None = None,
) -> Fit:
    return estimate_fit(
        sizes,
        layout or refused.layout,
        refused.gpu_gib,
        utilisation=refused.utilisation,
        kv_cache_bytes=kv_cache_bytes or refused.kv_cache_bytes,
        context=context or refused.context,
        draft=refused.draft,
    )
