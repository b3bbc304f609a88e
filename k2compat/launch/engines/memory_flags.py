"""Which flags of an engine decide about memory: its `memory.toml` as a value."""

from functools import cache

import msgspec

from k2compat.launch.engines import engine_folder
from k2compat.typed_toml import read_toml


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
        pipeline: Pipeline stages.
        data: Data-parallel ranks.
        attention_data: Data-parallel ranks of the attention, within the tensor-parallel ones.
        attention_switch: The flag with which `data` means the same.
        expert: Groups of experts.
        expert_switch: The flag with which each GPU of a stage is a group of experts.
        decode_context: Parts of the KV cache.
        nodes: Nodes of one server.
    """

    tensor: tuple[str, ...]
    pipeline: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    attention_data: tuple[str, ...] = ()
    attention_switch: str = ""
    expert: tuple[str, ...] = ()
    expert_switch: str = ""
    decode_context: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


class MemoryFlags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags of an engine that decide about memory, each under all of its names.

    Attributes:
        context: The longest request, in tokens.
        cache_type: The type of the KV cache's elements.
        share: The share of a GPU's memory that the engine may use.
        static_share: The share of weights and KV cache alone.
        sequences: The number of sequences, for an engine that warms up with its default number in
            memory outside of its share; empty for others.
        parallel: How the GPUs are divided; None where no flag decides it.
        batch: Sizes that data-parallel ranks share; None where the engine has none.
        not_estimated: Why the fit of this engine is not estimated, as the rest of a sentence; "":
            it is estimated.
    """

    context: tuple[str, ...] = ()
    cache_type: tuple[str, ...] = ()
    share: tuple[str, ...] = ()
    static_share: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    parallel: ParallelFlags | None = None
    batch: BatchFlags | None = None
    not_estimated: str = ""


@cache
def memory_flags_of(engine: str) -> MemoryFlags:
    """The flags of an engine that decide about memory.

    Raises:
        RefusedError: engine-unknown.
        ValueError: The table has a mistake.
    """
    return read_toml(engine_folder(engine) / "memory.toml", MemoryFlags)
