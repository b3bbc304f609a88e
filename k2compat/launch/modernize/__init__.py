"""Translation of an old command line into today's."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.launch.modernize.modern_command import ModernCommand
    from k2compat.launch.modernize.plan_checks import check_read_command
    from k2compat.launch.modernize.rewrite import Modernized, modernize_text

__all__ = [
    "ModernCommand",
    "Modernized",
    "check_read_command",
    "modernize_text",
]

_HOMES = {
    "ModernCommand": "modern_command",
    "Modernized": "rewrite",
    "check_read_command": "plan_checks",
    "modernize_text": "rewrite",
}

__getattr__ = lazy_names(__name__, _HOMES)
