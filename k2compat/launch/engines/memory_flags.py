"""The flags of an engine that affect memory: its `memory.toml` as a value."""

from functools import cache

import msgspec

from k2compat.launch.engines import engine_folder, engine_names
from k2compat.typed_toml import read_toml

# The members of `ParallelFlags` that are sizes with a value.
_SIZES = (
    *("tensor", "pipeline", "data", "replicas", "expert", "redundant", "decode_context"),
    "nodes",
)


class BatchFlags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of a whole server that its data-parallel ranks share.

    Attributes:
        running_requests: Flags for the requests at once.
        prefill_chunk: Flags for the tokens of one prefill chunk.
        largest_graph: Flags for the largest batch with a CUDA graph, of one rank.
        dispatch_variable: The environment variable with the tokens of one DeepEP dispatch.
        dispatch_needs: The flag without which that variable does nothing.
    """

    running_requests: tuple[str, ...]
    prefill_chunk: tuple[str, ...]
    largest_graph: tuple[str, ...]
    dispatch_variable: str
    dispatch_needs: str


class ParallelFlags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags of an engine that divide a model among GPUs, each under all of its names.

    Attributes:
        tensor: Tensor-parallel ranks.
        tensor_counts_data: Whether the number of `tensor` is that of all GPUs of a stage, the
            data-parallel ranks included.
        pipeline: Pipeline stages.
        data: Data-parallel ranks, which share the routed experts.
        replicas: Whole copies of the model, each on GPUs of its own.
        data_switch: The flag with which `replicas` means what `data` does; where the engine has no
            `replicas`, the flag with which each rank of a stage is a data-parallel one.
        expert: Groups of experts.
        expert_switches: The flags, or "--flag=value", with which each GPU of a stage is a group of
            experts, whatever `expert` says.
        uneven_experts: Whether the engine spreads experts that do not divide evenly.
        even_experts_with: The flags, or "--flag=value", with which it cannot.
        redundant: Copies of experts beyond the model's own, in each layer.
        decode_context: Parts of the KV cache.
        nodes: Nodes of one server.
    """

    tensor: tuple[str, ...]
    tensor_counts_data: bool = False
    pipeline: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()
    data_switch: str = ""
    expert: tuple[str, ...] = ()
    expert_switches: tuple[str, ...] = ()
    uneven_experts: bool = False
    even_experts_with: tuple[str, ...] = ()
    redundant: tuple[str, ...] = ()
    decode_context: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


class MemoryFlags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags of an engine that affect memory, each with all of its names.

    Attributes:
        context: The longest request, in tokens.
        cache_type: The type of the KV cache's elements.
        share: The share of a GPU's memory that the engine may use.
        static_share: The share of only the weights and the KV cache.
        sequences: The number of sequences, for an engine that warms up with its default number in
            memory outside of its share; empty for others.
        parallel: The flags that divide the GPUs; None where there are none.
        batch: Sizes that data-parallel ranks share; None where the engine has none.
        unpacks_fp4: Whether the engine unpacks 4-bit floating-point weights by itself on NVIDIA's
            GPUs that do not multiply in them.
        vendors: The vendors of GPUs on which the engine runs; empty: any.
        amd_heads: The divisor of each GPU's attention heads that the engine's kernels need on AMD's
            GPUs; 1: any number of heads.
        not_estimated: The reason why the fit of this engine is not estimated, as the rest of a
            sentence; "": it is estimated.
    """

    context: tuple[str, ...] = ()
    cache_type: tuple[str, ...] = ()
    share: tuple[str, ...] = ()
    static_share: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    parallel: ParallelFlags | None = None
    batch: BatchFlags | None = None
    unpacks_fp4: bool = False
    vendors: tuple[str, ...] = ()
    amd_heads: int = 1
    not_estimated: str = ""


@cache
def size_flag(engine: str, name: str) -> str | None:
    """The flag of an engine for a size that has the name of any engine's flag.

    People know one engine's flags: `--tp`, `--tp-size` and `--tensor-parallel-size` mean one size.

    Args:
        engine: The engine.
        name: A flag's name, with or without dashes in front; underscores count as dashes.

    Returns:
        The first name of the engine's own flag; None where the name is no size's, or the engine has
        no flag for it.

    Raises:
        RefusedError: engine-unknown.
    """
    wanted = _stem(name)
    own = _size_flags(engine)
    for other in engine_names():
        for kind, flags in _size_flags(other).items():
            if wanted in map(_stem, flags) and own.get(kind):
                return own[kind][0]
    return None


def _size_flags(engine: str) -> dict[str, tuple[str, ...]]:
    """Kind of size → the engine's flags for it."""
    flags = memory_flags_of(engine)
    kinds = msgspec.structs.asdict(flags.parallel) if flags.parallel else {}
    found = {name: kinds[name] for name in _SIZES if name in kinds}
    # SGLang's --dp-size makes copies, vLLM's --data-parallel-size divides; both are called dp.
    found["data"] = (*found.pop("replicas", ()), *found.get("data", ()))
    return {**found, "context": flags.context, "cache_type": flags.cache_type}


def _stem(name: str) -> str:
    return name.lstrip("-").replace("_", "-")


@cache
def memory_flags_of(engine: str) -> MemoryFlags:
    """The flags of an engine that affect memory.

    Raises:
        RefusedError: engine-unknown.
        ValueError: The table has a mistake.
    """
    return read_toml(engine_folder(engine) / "memory.toml", MemoryFlags)
