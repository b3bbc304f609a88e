"""Names of a package that are loaded when they are first asked for."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names lie in its modules.

    An eager face imports all of a room for one name of it: `validate --help` needs the names of
    the engines, and would load the readers of GGUFs.

    Args:
        package: The package's `__name__`.
        homes: Name → module in the package that has it.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, found)  # an import asks twice for each name
        return found

    return load
