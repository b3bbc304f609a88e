"""Find one value in a JSON text and splice it, leaving every other byte alone.

    bytes ── decode ──▶ ConfigText ── locate ──▶ span of the value
                            │                        │
                            └──── family's rules ────┴──▶ Patch(old bytes, new bytes, findings)

Planning is pure: bytes in, a plan out. `target` finds the file a person means, and `apply`
and `overlay` carry a plan out through the files room.
"""

from k2compat.config.diff import unified_diff
from k2compat.config.patch import Patch, cost_of, plan_patch
from k2compat.config.text import ConfigText, read_text

__all__ = ["ConfigText", "Patch", "cost_of", "plan_patch", "read_text", "unified_diff"]
