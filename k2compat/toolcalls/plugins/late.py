"""Runs an action once a module has been imported, without importing it."""

import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, TypeAlias

Action: TypeAlias = Callable[[ModuleType], None]

logger = logging.getLogger(__name__)


def when_imported(name: str, action: Action) -> None:
    """Run an action on a module: now if it is imported already, else after its import.

    Args:
        name: the module's full name. It need not exist.
        action: takes the module. An exception in it is logged, so that it
            cannot stop the import, and the engine with it.
    """
    module = sys.modules.get(name)
    if module is not None:
        _run(action, module)
        return
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.actions.setdefault(name, []).append(action)


def _run(action: Action, module: ModuleType) -> None:
    try:
        action(module)
    except Exception:
        logger.exception("k2compat: the plug-in for %s does not fit this version", module.__name__)


class _Finder(MetaPathFinder):
    """Finds the modules that actions wait for, and lets the other finders load them."""

    def __init__(self) -> None:
        self.actions: dict[str, list[Action]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # Taken out first: find_spec comes back here for the same name.
        actions = self.actions.pop(fullname, None)
        if actions is None:
            return None
        spec = find_spec(fullname)
        if spec is None or spec.loader is None:
            self.actions[fullname] = actions
            return spec
        spec.loader = _Loader(spec, spec.loader, actions)
        return spec


class _Loader(Loader):
    """Loads a module as its own loader does, and runs the actions."""

    def __init__(self, spec: ModuleSpec, loader: Loader, actions: Sequence[Action]) -> None:
        self._spec = spec
        self._loader = loader
        self._actions = actions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        for action in self._actions:
            _run(action, module)


_FINDER: Final = _Finder()
