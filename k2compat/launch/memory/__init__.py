"""Memory of a model on its GPUs: sizes, layouts, the estimate."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.launch.memory.alternatives import check_fit, nearest_fit
    from k2compat.launch.memory.division import GivenSizes, default_strategy, layouts_of
    from k2compat.launch.memory.drafts import DraftSizes, eagle3_sizes, mtp_sizes
    from k2compat.launch.memory.fit import (
        DEFAULT_UTILISATION,
        OVERHEAD_GIB,
        Fit,
        Verdict,
        check_sequence_count,
        estimate_fit,
        explain_fit,
    )
    from k2compat.launch.memory.gpus import (
        check_formats,
        gpu_facts,
        gpu_memory_gib,
        gpu_names,
        smallest_gpus,
    )
    from k2compat.launch.memory.layout import (
        Layout,
        check_batch_sizes,
        check_divisibility,
        check_world_size,
    )
    from k2compat.launch.memory.sizes import (
        ModelDimensions,
        ModelSizes,
        model_dimensions,
        model_sizes,
    )

__all__ = [
    "DEFAULT_UTILISATION",
    "OVERHEAD_GIB",
    "DraftSizes",
    "Fit",
    "GivenSizes",
    "Layout",
    "ModelDimensions",
    "ModelSizes",
    "Verdict",
    "check_batch_sizes",
    "check_divisibility",
    "check_fit",
    "check_formats",
    "check_sequence_count",
    "check_world_size",
    "default_strategy",
    "eagle3_sizes",
    "estimate_fit",
    "explain_fit",
    "gpu_facts",
    "gpu_memory_gib",
    "gpu_names",
    "layouts_of",
    "model_dimensions",
    "model_sizes",
    "mtp_sizes",
    "nearest_fit",
    "smallest_gpus",
]

_HOMES = {
    "DEFAULT_UTILISATION": "fit",
    "DraftSizes": "drafts",
    "Fit": "fit",
    "GivenSizes": "division",
    "Layout": "layout",
    "ModelDimensions": "sizes",
    "ModelSizes": "sizes",
    "OVERHEAD_GIB": "fit",
    "Verdict": "fit",
    "check_batch_sizes": "layout",
    "check_divisibility": "layout",
    "check_fit": "alternatives",
    "check_formats": "gpus",
    "check_sequence_count": "fit",
    "check_world_size": "layout",
    "default_strategy": "division",
    "eagle3_sizes": "drafts",
    "estimate_fit": "fit",
    "explain_fit": "fit",
    "gpu_facts": "gpus",
    "gpu_memory_gib": "gpus",
    "gpu_names": "gpus",
    "layouts_of": "division",
    "model_dimensions": "sizes",
    "model_sizes": "sizes",
    "mtp_sizes": "drafts",
    "nearest_fit": "alternatives",
    "smallest_gpus": "gpus",
}

__getattr__ = lazy_names(__name__, _HOMES)
