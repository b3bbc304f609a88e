"""The properties of a GPU by its name: memory, generation, formats; the table is `gpus.toml`."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import msgspec

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.typed_toml import read_toml

_TABLE = Path(__file__).with_name("gpus.toml")
_MAXIMUM_GIB = 4096  # a number above it is bytes or MiB, not GiB
_MIB_PER_GIB = 1024

# Accelerators for which no command is rendered: pattern → reason.
_OTHERS = {
    r"ascend|atlas|^910": "Ascend runs vLLM and SGLang through plug-ins of their own (vllm-ascend, "
    "sgl-kernel-npu), with other flags, variables and weights (ModelSlim's W8A8)",
    r"^(tpu|v5e|v5p|v6e|trillium|ironwood)": "TPUs are no GPUs, which these commands are for",
    r"gaudi": "Gaudi runs vLLM through a plug-in of its own (vllm-gaudi)",
}

_codes = Codes("launch")


class _Gpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GPU of the table; `gpus.toml` explains the members."""

    memory_mib: int
    aliases: tuple[str, ...]
    source: str
    arch: str
    vendor: str = "nvidia"
    fp4: tuple[str, ...] = ()


def gpu_memory_gib(name: str) -> float:
    """The memory of one GPU in GiB, as the driver shows it.

    Args:
        name: A GPU of the table in any case ("H200", "nvidia h20"), or GiB ("141", "141GiB").

    Raises:
        RefusedError: unknown-gpu, gpu-not-supported.
    """
    number = _number(name)
    if number is not None and 0 < number <= _MAXIMUM_GIB:
        return number
    return _found(name).memory_mib / _MIB_PER_GIB


def gpu_facts(name: str | None) -> frozenset[str]:
    """The facts of a GPU for conditions of profiles: "gpu=NAME", "arch=NAME", "amd".

    Args:
        name: As for `gpu_memory_gib`; a memory in GiB, and None, have no facts.

    Raises:
        RefusedError: unknown-gpu, gpu-not-supported.
    """
    if name is None or _number(name) is not None:
        return frozenset()
    gpu = _found(name)
    key = next(key for key, each in _table().items() if each is gpu)
    return frozenset({f"gpu={key}", f"arch={gpu.arch}", gpu.vendor})


def smallest_gpus() -> Mapping[str, float]:
    """The GPUs of the table by their memory in GiB, the smallest first."""
    found = sorted(_table().items(), key=lambda item: item[1].memory_mib)
    return {name: gpu.memory_mib / _MIB_PER_GIB for name, gpu in found}


def check_formats(precision: str, name: str | None, *, weight_only: bool) -> Iterator[Finding]:
    """Find 4-bit floating-point weights on a GPU that does not multiply in their format.

    Args:
        precision: How the routed experts are stored; see `ModelDimensions`.
        name: The GPU; nothing is found where it is not known.
        weight_only: Whether the engine unpacks such weights by itself on NVIDIA's older GPUs. It is
            slower than the same model in INT4 or FP8, but runs.

    Raises:
        RefusedError: unknown-gpu, gpu-not-supported.
    """
    wanted = next((each for each in ("nvfp4", "mxfp4") if precision.startswith(each)), None)
    if wanted is None or name is None or _number(name) is not None:
        return
    gpu = _found(name)
    if wanted in gpu.fp4:
        return
    unpacks = weight_only and gpu.vendor == "nvidia"
    able = ", ".join(key for key, each in _table().items() if wanted in each.fp4)
    shown = wanted.upper()
    yield _codes.finding(
        "format-unpacked" if unpacks else "format-not-supported",
        "--gpu",
        f"{name} has no arithmetic for {shown}: the engine unpacks the weights, which is slower "
        f"than INT4 or FP8 weights."
        if unpacks
        else f"{name} cannot run {shown} weights with this engine.",
        expected=f"one of {able}",
        actual=name,
        fix="Use the model's INT4 or FP8 weights for this GPU.",
    )


def _found(name: str) -> _Gpu:
    wanted = name.strip().lower().replace("_", "-").replace(" ", "-").removeprefix("nvidia-")
    for pattern, reason in _OTHERS.items():
        if re.search(pattern, wanted):
            raise RefusedError(
                "gpu-not-supported",
                f"There are no commands for {name}: {reason}.",
                hint="Follow the documentation of that plug-in or platform.",
            )
    names = {each: gpu for key, gpu in _table().items() for each in (key, *gpu.aliases)}
    if wanted not in names:
        raise _unknown(name, wanted)
    return names[wanted]


def gpu_names() -> tuple[str, ...]:
    """The GPUs of the table, without their other names."""
    return tuple(_table())


def _unknown(name: str, wanted: str) -> RefusedError:
    from difflib import get_close_matches

    # 141gb is similar to a name of the H20, but may be any GPU's memory.
    near = get_close_matches(wanted, gpu_names(), n=1) if wanted[:1].isalpha() else []
    hint = f"Did you mean {near[0]}? " if near else ""
    known = ", ".join(gpu_names())
    return RefusedError(
        "unknown-gpu",
        f"There is no GPU {name!r} in the table.",
        hint=f"{hint}Give one of {known}, or its memory in GiB, as in --gpu 141.",
    )


def _number(name: str) -> float | None:
    try:
        return float(name.strip().lower().removesuffix("gib"))
    except ValueError:
        return None


@cache
def _table() -> Mapping[str, _Gpu]:
    return read_toml(_TABLE, dict[str, _Gpu])
