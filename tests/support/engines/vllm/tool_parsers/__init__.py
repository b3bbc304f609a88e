"""vLLM registers its own parsers behind the import of the base."""

from .abstract_tool_parser import ToolParser, ToolParserManager

__all__ = ["ToolParser", "ToolParserManager"]

ToolParserManager.register_lazy_module("kimi_k2", "vllm.tool_parsers.kimi_k2", "Own")
