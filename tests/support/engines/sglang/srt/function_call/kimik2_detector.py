"""SGLang's own detector, as far as ours derives from it."""

from typing import Any


class KimiK2Detector:
    def __init__(self) -> None:
        self.prev_tool_call_arr: list[dict[str, Any]] = []
        self.streamed_args_for_tool: list[str] = []
        self.current_tool_id = -1
        self.current_tool_name_sent = False

    def structure_info(self) -> str:
        return "SGLang's own"
