"""The verdicts of engines on a checkpoint."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.engines.ktransformers import check_ktransformers
    from k2compat.checkpoint.engines.names import engine_names, fold_verdicts
    from k2compat.checkpoint.engines.verdicts import Judged, engine_verdicts

__all__ = [
    "Judged",
    "check_ktransformers",
    "engine_names",
    "engine_verdicts",
    "fold_verdicts",
]

_HOMES = {
    "Judged": "verdicts",
    "check_ktransformers": "ktransformers",
    "engine_names": "names",
    "engine_verdicts": "verdicts",
    "fold_verdicts": "names",
}

__getattr__ = lazy_names(__name__, _HOMES)
