"""One request of a check, as a value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """

    name: str
    purpose: str
    body: Mapping[str, Any]
    wants: tuple[WantedCall, ...] = ()
    calls_before: int = 0
    is_optional: bool = False
    must_be_refused: bool = field(default=False)

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream."""
        return self.body.get("stream") is True

    @property
    def case(self) -> str:
        """The name without ".whole" or ".stream"."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def estimated_tokens(self) -> int:
        """Tokens of prompt and answer, about."""
        answer = sum(len(str(call).encode()) // _BYTES_PER_TOKEN for call in self.wants)
        limit = self.body.get("max_tokens")
        most = limit if isinstance(limit, int) and limit > 0 else 0
        return self.estimated_prompt_tokens + min(answer + _THOUGHTS, most)

    @property
    def estimated_prompt_tokens(self) -> int:
        """Tokens of the prompt, about."""
        kept = {name: self.body[name] for name in ("messages", "tools") if name in self.body}
        return len(json.dumps(kept, ensure_ascii=False).encode()) // _BYTES_PER_TOKEN

    def body_for(self, model: str) -> dict[str, Any]:
        """The whole body."""
        return {"model": model, **self.body}
