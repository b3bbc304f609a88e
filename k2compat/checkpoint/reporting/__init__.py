"""What is found out about a checkpoint, as values."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.reporting.alike import (
        ALIKE_SHOWN,
        FINDINGS_PER_CODE,
        NUMBERS_SHOWN,
        RANGES_SHOWN,
        fold_by_code,
        fold_equal,
        named,
        numbered,
        ranges,
    )
    from k2compat.checkpoint.reporting.collector import FileFindings
    from k2compat.checkpoint.reporting.report import (
        UNKNOWN_VARIANT,
        Coverage,
        FileSummary,
        Progress,
        StoredPart,
        Validation,
    )

__all__ = [
    "ALIKE_SHOWN",
    "FINDINGS_PER_CODE",
    "NUMBERS_SHOWN",
    "RANGES_SHOWN",
    "UNKNOWN_VARIANT",
    "Coverage",
    "FileFindings",
    "FileSummary",
    "Progress",
    "StoredPart",
    "Validation",
    "fold_by_code",
    "fold_equal",
    "named",
    "numbered",
    "ranges",
]

_HOMES = {
    "ALIKE_SHOWN": "alike",
    "Coverage": "report",
    "FINDINGS_PER_CODE": "alike",
    "FileFindings": "collector",
    "FileSummary": "report",
    "NUMBERS_SHOWN": "alike",
    "Progress": "report",
    "StoredPart": "report",
    "RANGES_SHOWN": "alike",
    "UNKNOWN_VARIANT": "report",
    "Validation": "report",
    "fold_by_code": "alike",
    "fold_equal": "alike",
    "named": "alike",
    "numbered": "alike",
    "ranges": "alike",
}

__getattr__ = lazy_names(__name__, _HOMES)
