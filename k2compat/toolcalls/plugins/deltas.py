"""A message as OpenAI's deltas, for engines that send them on their own."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ..chat import ChunkStream
from ..parser import StreamParser

Delta: TypeAlias = dict[str, Any]


class Deltas:
    """Reads one message and returns it in deltas; pieces that come together are one delta."""

    def __init__(self, tools: list[Mapping[str, object]], first_index: int) -> None:
        """Begin a message.

        Args:
            tools: the request's tools, as OpenAI tool dicts.
            first_index: how many calls the conversation already holds.
        """
        self._parser = StreamParser(tools, first_index=first_index)
        self._stream = ChunkStream(completion_id="", model="", created=0)

    def feed(self, text: str) -> Delta:
        """Read the next piece of text.

        Returns:
            A delta with `content` and `tool_calls`, each only where there is
            some. A call's first delta has its id, its name and the arguments
            that came with them.
        """
        return _joined(self._stream.feed(self._parser.feed(text)))

    def finish(self) -> Delta:
        """End the message; the rest of it, as `feed` returns it."""
        return _joined(self._stream.feed(self._parser.finish()) + self._stream.finish())


def _joined(chunks: Iterable[Delta]) -> Delta:
    content: list[str] = []
    calls: list[Delta] = []
    for chunk in chunks:
        delta = chunk["choices"][0]["delta"]
        content.append(delta.get("content", ""))
        for call in delta.get("tool_calls", ()):
            if calls and calls[-1]["index"] == call["index"]:
                calls[-1]["function"]["arguments"] += call["function"]["arguments"]
            else:
                calls.append(call)
    joined: Delta = {"content": "".join(content), "tool_calls": calls}
    return {key: value for key, value in joined.items() if value}
