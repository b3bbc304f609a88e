"""vLLM's base of tool parsers, and their register."""

from importlib import import_module
from typing import Any, ClassVar


class ToolParser:
    supports_required_and_named = True
    structural_tag_model: str | None = None
    engine_based_streaming = False

    def __init__(self, tokenizer: Any, tools: Any = None) -> None:
        self.model_tokenizer = tokenizer
        self.tools = tools


class ToolParserManager:
    tool_parsers: ClassVar[dict[str, Any]] = {}
    lazy_parsers: ClassVar[dict[str, tuple[str, str]]] = {}

    @classmethod
    def register_lazy_module(cls, name: str, module_path: str, class_name: str) -> None:
        cls.lazy_parsers[name] = (module_path, class_name)

    @classmethod
    def get_tool_parser(cls, name: str) -> Any:
        if name not in cls.tool_parsers:
            module_path, class_name = cls.lazy_parsers[name]
            parser = getattr(import_module(module_path), class_name)
            assert issubclass(parser, ToolParser)
            cls.tool_parsers[name] = parser
        return cls.tool_parsers[name]
