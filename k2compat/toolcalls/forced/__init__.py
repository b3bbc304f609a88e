"""Reads what a forced tool choice makes engines write: bare JSON instead of markers."""

from .turn import ForcedTurn

__all__ = ["ForcedTurn"]
