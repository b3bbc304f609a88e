"""SGLang's register of detectors."""

from typing import Any, ClassVar

from .kimik2_detector import KimiK2Detector


class FunctionCallParser:
    ToolCallParserEnum: ClassVar[dict[str, Any]] = {"kimi_k2": KimiK2Detector}
