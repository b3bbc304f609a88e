"""Find one value in a JSON text and splice it, leaving every other byte alone.

    bytes ── decode ──▶ ConfigText ── locate ──▶ span of the value
                            │                        │
                            └──── family's rules ────┴──▶ Patch(old bytes, new bytes, findings)

Planning is pure: from bytes to a plan. `target` finds the file that the user means; `apply` and
`overlay` carry a plan out through the room `files`.
"""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.config.apply import notes_on_place, owner_findings, patch_in_place
    from k2compat.config.diff import unified_diff
    from k2compat.config.overlay import Overlay
    from k2compat.config.patch import Patch, cost_of, plan_patch
    from k2compat.config.spans import locate
    from k2compat.config.target import Target, find_target
    from k2compat.config.text import MAXIMUM_BYTES, ConfigText, read_text

__all__ = [
    "MAXIMUM_BYTES",
    "ConfigText",
    "Overlay",
    "Patch",
    "Target",
    "cost_of",
    "find_target",
    "locate",
    "notes_on_place",
    "owner_findings",
    "patch_in_place",
    "plan_patch",
    "read_text",
    "unified_diff",
]

_HOMES = {
    "ConfigText": "text",
    "MAXIMUM_BYTES": "text",
    "Overlay": "overlay",
    "Patch": "patch",
    "Target": "target",
    "cost_of": "patch",
    "find_target": "target",
    "locate": "spans",
    "notes_on_place": "apply",
    "owner_findings": "apply",
    "patch_in_place": "apply",
    "plan_patch": "patch",
    "read_text": "text",
    "unified_diff": "diff",
}

__getattr__ = lazy_names(__name__, _HOMES)
