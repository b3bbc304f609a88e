"""Reads one assistant turn, marker by marker and text by text."""

from .section import Thinking
from .turn import Turn

__all__ = ["Thinking", "Turn"]
