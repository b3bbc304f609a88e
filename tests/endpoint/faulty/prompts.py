"""Servers that write or count prompts wrongly."""

import json
import re
from typing import Any

from tests.endpoint.faulty.registry import fault, forced
from tests.endpoint.standin import (
    Json,
    Reply,
    Server,
    text_of,
)


@fault("usage-wrong")
class SumIsWrong(Server):
    def usage(self, body: Json, reply: Reply) -> Json:
        return {**super().usage(body, reply), "total_tokens": 7}


@fault("usage-wrong")
class PromptIsConstant(Server):
    def usage(self, body: Json, reply: Reply) -> Json:
        usage = super().usage(body, reply)
        return {**usage, "prompt_tokens": 9, "total_tokens": 9 + usage["completion_tokens"]}


@fault("usage-wrong")
class StreamCountsChunks(Server):
    def usage(self, body: Json, reply: Reply) -> Json:
        usage = super().usage(body, reply)
        if body.get("stream"):
            usage["prompt_tokens"] += 1
            usage["total_tokens"] += 1
        return usage


@fault("prompt-tokens-differ")
class AddsASystemMessage(Server):
    """Its template is an older one, with a system message of its own."""

    def prompt(self, body: Json) -> str:
        return f"systemYou are a helpful assistant{super().prompt(body)}"


@fault("usage-missing")
class NoUsageInStreams(Server):
    def chunks(self, body: Json, reply: Reply, usage: Json) -> list[Json]:
        return super().chunks({**body, "stream_options": None}, reply, usage)


@fault("tools-as-json")
class ToolsAsJson(Server):
    def tools_text(self, tools: list[Json]) -> str:
        return json.dumps(tools)


@fault("tools-not-in-prompt")
class ToolsDropped(Server):
    def tools_text(self, tools: list[Json]) -> str:
        return ""

    def free_reply(self, body: Json) -> Reply:
        return super().free_reply(body) if forced(body) else Reply("I have no tools.")


@fault("marker-text-acts")
class MarkersAct(Server):
    def content_text(self, content: Any) -> str:
        return re.sub(r"<\|(im_end|tool_calls_section_end)\|>", "X", text_of(content))


@fault("content-list-printed")
class ListsPrinted(Server):
    def content_text(self, content: Any) -> str:
        return str(content) if isinstance(content, list) else text_of(content)


@fault("content-null-printed")
class NullContentPrinted(Server):
    def content_text(self, content: Any) -> str:
        return "None" if content is None else text_of(content)


@fault("thought-null-printed")
class NullThoughtPrinted(Server):
    def thought_text(self, message: Json) -> str:
        thought = message.get("reasoning_content", "")
        return "None" if thought is None else str(thought)


@fault("thoughts-dropped")
class ThoughtsDropped(Server):
    def thought_text(self, message: Json) -> str:
        return ""
