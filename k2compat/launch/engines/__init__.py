"""The engines: one file each, for what their profiles cannot say as data."""

from importlib import import_module

from k2compat.launch.engines.engine import Engine

__all__ = ["Engine", "engine"]


def engine(name: str) -> Engine:
    """An engine by its name, one of `profile.ENGINES`."""
    found = import_module(f"{__name__}.{name}.derive").ENGINE
    assert isinstance(found, Engine)  # noqa: S101 - a module of ours
    return found
