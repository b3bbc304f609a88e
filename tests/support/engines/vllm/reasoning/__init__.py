"""vLLM's base of reasoning parsers, and their register."""

from importlib import import_module
from typing import Any, ClassVar


class ReasoningParser:
    engine_based_streaming = False

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        self.model_tokenizer = tokenizer


class ReasoningParserManager:
    reasoning_parsers: ClassVar[dict[str, Any]] = {}
    lazy_parsers: ClassVar[dict[str, tuple[str, str]]] = {}

    @classmethod
    def register_lazy_module(cls, name: str, module_path: str, class_name: str) -> None:
        cls.lazy_parsers[name] = (module_path, class_name)

    @classmethod
    def get_reasoning_parser(cls, name: str) -> Any:
        module_path, class_name = cls.lazy_parsers[name]
        parser = getattr(import_module(module_path), class_name)
        assert issubclass(parser, ReasoningParser)
        return parser


ReasoningParserManager.register_lazy_module("kimi_k2", "vllm.reasoning.kimi_k2", "Own")
