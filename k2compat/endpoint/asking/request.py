"""One request of a check, as a value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from k2compat.endpoint.asking.wanted import WantedCall

CHAT: Final = "/chat/completions"
_BYTES_PER_TOKEN: Final = 3  # English and JSON have three to four bytes a token
_THOUGHTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One chat request.

    Attributes:
        name: "CASE.whole" or "CASE.stream" where the answer is read, else a name of its own.
        purpose: what it shows, in a few words.
        body: the body without the model's name.
        wants: the calls that the last user message names and the answer should hold.
        calls_before: how many calls the history holds.
        is_optional: whether a server may refuse it, since it uses a field that not all take.
        must_be_refused: whether the request is wrong on purpose.
        is_sample: whether it is one of the user's samples, of any shape, and not one of the check.
    """

    name: str
    purpose: str
    body: Mapping[str, Any]
    wants: tuple[WantedCall, ...] = ()
    calls_before: int = 0
    is_optional: bool = False
    must_be_refused: bool = False
    is_sample: bool = False

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream."""
        return self.body.get("stream") is True

    @property
    def case(self) -> str:
        """The name without ".whole" or ".stream"."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def tools(self) -> dict[str, Mapping[str, Any]]:
        """The declared functions by name; other tools are left out."""
        tools = self.body.get("tools")
        functions = [
            (tool, tool["function"])
            for tool in (tools if isinstance(tools, list) else ())
            if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
        ]
        return {
            function["name"]: tool
            for tool, function in functions
            if isinstance(function.get("name"), str)
        }

    @property
    def forced_tool(self) -> str | None:
        """The tool that tool_choice names; None where it names none."""
        choice = self.body.get("tool_choice")
        function = choice.get("function") if isinstance(choice, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        return name if isinstance(name, str) else None

    @property
    def thinking(self) -> bool | None:
        """The switch in chat_template_kwargs; None where it is not set."""
        switches = self.body.get("chat_template_kwargs")
        thinking = switches.get("thinking") if isinstance(switches, dict) else None
        return thinking if isinstance(thinking, bool) else None

    @property
    def estimated_tokens(self) -> int:
        """The approximate number of tokens of prompt and answer."""
        answer = sum(len(str(call).encode()) // _BYTES_PER_TOKEN for call in self.wants)
        limit = self.body.get("max_tokens")
        most = limit if isinstance(limit, int) and limit > 0 else 0
        return self.estimated_prompt_tokens + min(answer + _THOUGHTS, most)

    @property
    def estimated_prompt_tokens(self) -> int:
        """The approximate number of tokens of the prompt."""
        kept = {name: self.body[name] for name in ("messages", "tools") if name in self.body}
        return len(json.dumps(kept, ensure_ascii=False).encode()) // _BYTES_PER_TOKEN

    def body_for(self, model: str) -> dict[str, Any]:
        """The whole body."""
        return {"model": model, **self.body}
