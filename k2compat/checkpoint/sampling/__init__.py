"""Samples of the data, for damage that no header shows."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.sampling.sampler import Sampler
    from k2compat.checkpoint.sampling.samples import SampledTensor

__all__ = [
    "SampledTensor",
    "Sampler",
]

_HOMES = {
    "SampledTensor": "samples",
    "Sampler": "sampler",
}

__getattr__ = lazy_names(__name__, _HOMES)
