"""Empty stand-ins for what SGLang's parsers import and do not use.

SGLang cannot be installed without CUDA. Its parsers of tool calls are plain Python,
but the modules that they import load PyTorch, Transformers and xgrammar.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

MODULES = (
    "PIL",
    "sgl_kernel",
    "sglang.srt.configs",
    "sglang.srt.managers",
    "sglang.srt.server_args",
    "sglang.srt.utils",
    "torch",
    "torchvision",
    "transformers",
    "triton",
    "xgrammar",
    "zmq",
)


class Anything:
    """A class that takes any arguments; as a pydantic field it takes any value."""

    def __init__(self, *_arguments: object, **_options: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return MagicMock(name=name)

    @classmethod
    def __get_pydantic_core_schema__(cls, *_arguments: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.any_schema()


class StandIn(ModuleType):
    """A module that has every name."""

    __version__ = "2.9.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (Anything,), {}) if name[0].isupper() else MagicMock(name=name)
        setattr(self, name, value)
        return value


class Finder(MetaPathFinder, Loader):
    """Finds the stand-ins before the real modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if any(fullname == name or fullname.startswith(f"{name}.") for name in MODULES):
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = StandIn(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass


def install() -> None:
    """Let the stand-ins be imported from now on."""
    sys.meta_path.insert(0, Finder())
