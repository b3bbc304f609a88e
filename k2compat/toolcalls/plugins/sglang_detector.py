"""The tool-call parser for SGLang. Only SGLang imports this module."""

import re
from importlib import import_module
from typing import Any, Final

from ..markers import TOOL_MARKERS
from ..parser import parse
from .deltas import Delta, Deltas
from .requests import tool_dicts

_types: Final = import_module("sglang.srt.function_call.core_types")
_KimiK2Detector: Final[Any] = import_module(
    "sglang.srt.function_call.kimik2_detector"
).KimiK2Detector
_MARKER: Final = re.compile("|".join(map(re.escape, TOOL_MARKERS)))


class K2Detector(_KimiK2Detector):  # type: ignore[misc] # the class is known at run time only
    """Reads Kimi-K2's tool calls; what constrains the output stays SGLang's.

    A detector cannot set ids: SGLang numbers the calls over the conversation.
    """

    def __init__(self) -> None:
        super().__init__()
        self._deltas: Deltas | None = None

    def has_tool_call(self, text: str) -> bool:
        """Whether the text must be read: whether any marker is in it."""
        return _MARKER.search(text) is not None

    def detect_and_parse(self, text: str, tools: Any) -> Any:
        """Read a whole output."""
        message = parse(text, tool_dicts(tools))
        calls = [
            _types.ToolCallItem(tool_index=index, name=call.name, parameters=call.arguments)
            for index, call in enumerate(message.tool_calls)
        ]
        return _types.StreamingParseResult(normal_text=message.content or "", calls=calls)

    def parse_streaming_increment(self, new_text: str, tools: Any) -> Any:
        """Read the next text."""
        if self._deltas is None:
            self._deltas = Deltas(tool_dicts(tools), 0)
        return self._result(self._deltas.feed(new_text))

    def finish(self, tools: Any) -> Any:
        """The rest of the message."""
        return self._result({} if self._deltas is None else self._deltas.finish())

    def _result(self, delta: Delta) -> Any:
        calls = [self._item(**call) for call in delta.get("tool_calls", ())]
        return _types.StreamingParseResult(normal_text=delta.get("content", ""), calls=calls)

    def _item(self, index: int, function: dict[str, str], **_others: str) -> Any:
        name = function.get("name")
        if name is not None:
            # SGLang compares these two at the end, and sends what the second lacks. All
            # arguments were sent, so both stay empty.
            self.prev_tool_call_arr.append({"name": name, "arguments": ""})
            self.streamed_args_for_tool.append("")
            self.current_tool_id = index
            self.current_tool_name_sent = True
        return _types.ToolCallItem(
            tool_index=index, name=name, parameters=function.get("arguments", "")
        )
