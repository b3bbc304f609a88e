"""How much memory a GPU has, by its name; the table is `gpus.toml`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from k2compat.errors import RefusedError
from k2compat.typed_toml import read_toml

_TABLE = Path(__file__).with_name("gpus.toml")
_MAXIMUM_GIB = 4096  # a number above it is bytes or MiB, not GiB
_MIB_PER_GIB = 1024


class _Gpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GPU of the table. `source` names what showed its memory."""

    memory_mib: int
    aliases: tuple[str, ...]
    source: str


def gpu_memory_gib(name: str) -> float:
    """The memory of one GPU in GiB, as the driver shows it.

    Args:
        name: A GPU of the table in any case ("H200", "nvidia h20"), or GiB ("141", "141GiB").

    Raises:
        RefusedError: unknown-gpu.
    """
    number = _number(name)
    if number is not None and 0 < number <= _MAXIMUM_GIB:
        return number
    memory = _memory_by_name()
    wanted = name.strip().lower().replace("_", "-").replace(" ", "-").removeprefix("nvidia-")
    if wanted not in memory:
        raise _unknown(name, wanted)
    return memory[wanted] / _MIB_PER_GIB


def gpu_names() -> tuple[str, ...]:
    """The GPUs of the table, without their other names."""
    return tuple(_table())


def _unknown(name: str, wanted: str) -> RefusedError:
    from difflib import get_close_matches

    # 141gb is near to a name of the H20, and may be any GPU's memory.
    near = get_close_matches(wanted, _memory_by_name(), n=1) if wanted[:1].isalpha() else []
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
def _memory_by_name() -> Mapping[str, int]:
    return {name: gpu.memory_mib for key, gpu in _table().items() for name in (key, *gpu.aliases)}


@cache
def _table() -> Mapping[str, _Gpu]:
    return read_toml(_TABLE, dict[str, _Gpu])
