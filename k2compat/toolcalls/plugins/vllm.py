"""vLLM's entry point: registers the tool parser and the reasoning parser `k2compat`.

With K2COMPAT_REPLACE_KIMI_K2=1 they are registered as `kimi_k2`, too.
"""

from types import ModuleType
from typing import Any, Final

from .choice import ENGINE_NAME, NAME, replaces_the_engine_s
from .late import when_imported

_PARSERS: Final = f"{__package__}.vllm_parsers"
# The tool parsers moved in 0.13.
_TOOL_PARSERS: Final = ("vllm.tool_parsers", "vllm.entrypoints.openai.tool_parsers")
_REASONING_PARSERS: Final = "vllm.reasoning"


def register() -> None:
    """Register the parsers, once vLLM imports its own. Never raises."""
    for name in _TOOL_PARSERS:
        when_imported(name, _register_tool_parser)
    when_imported(_REASONING_PARSERS, _register_reasoning_parser)


def _register_tool_parser(module: ModuleType) -> None:
    _register(module.ToolParserManager, "tool_parsers", "K2ToolParser")


def _register_reasoning_parser(module: ModuleType) -> None:
    _register(module.ReasoningParserManager, "reasoning_parsers", "K2ReasoningParser")


def _register(manager: Any, loaded: str, class_name: str) -> None:
    for name in (NAME, ENGINE_NAME) if replaces_the_engine_s() else (NAME,):
        manager.register_lazy_module(name, _PARSERS, class_name)
        # A class that was loaded already counts before the lazy one.
        getattr(manager, loaded).pop(name, None)
