"""How many of the model's own parameters a stored tensor holds.

Scales, zero points and buffers describe other tensors and hold none. A packed tensor holds
several in each element: INT4 in I32 eight, FP4 in U8 two.
"""

import re
from functools import lru_cache
from typing import Final

from k2compat.checkpoint.model.dtypes import DTYPE_BITS

DEFAULT_BITS: Final = 4
"""The bits of a packed weight whose config gives none; NVFP4 and MXFP4 always have these."""

# Suffixes of compressed-tensors, modelopt, Quark, AWQ, GPTQ, ModelSlim and MLX.
_DESCRIBES: Final = re.compile(
    r"(?:.*_)?(?:scales?|scale_inv|scale_2|scale_second|scale_bias|offset|offset_second"
    r"|zero_point|qzeros|g_idx|biases|quant_bias|weight_shape|inv_freq)"
)
_PACKED: Final = ("weight", "weight_packed", "qweight")
_CONTAINERS: Final = ("U8", "I8", "I32", "U32")


def model_elements(name: str, dtype: str, elements: int, bits: int | None) -> int:
    """The model's parameters in a tensor.

    Args:
        name: The tensor's name, or the part after its layer's prefix.
        dtype: The name of its dtype in safetensors.
        elements: Stored elements.
        bits: The bits of one quantised weight in the config; None where it gives none.
    """
    per_element = _per_element(name.rpartition(".")[2], dtype, bits)
    return elements * per_element


@lru_cache(maxsize=1024)
def _per_element(suffix: str, dtype: str, bits: int | None) -> int:
    if _DESCRIBES.fullmatch(suffix):
        return 0
    if suffix not in _PACKED or dtype not in _CONTAINERS:
        return 1
    # An I8 element is one INT8 weight, unless the config shows that it holds two INT4 weights.
    own = DTYPE_BITS[dtype] if dtype == "I8" else DEFAULT_BITS
    return max(DTYPE_BITS[dtype] // (bits or own), 1)
