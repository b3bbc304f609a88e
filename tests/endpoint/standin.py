"""A sound server that follows orders of the form `NAME {json}`; faulty ones change one method."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]

TOKEN = re.compile(r"\w{1,6}|\W")
ORDER = re.compile(r"^([\w.-]+) (\{.*\})$", re.MULTILINE)
NATIVE_ID = re.compile(r"functions\.[^:]+:[0-9]+")
MODEL = "Kimi-K2.5-standin"


def tokens_in(text: str) -> int:
    return len(TOKEN.findall(text))


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """What the model wrote, read rightly."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    reason: str = "stop"
    written: int = 0


@dataclass
class Response:
    status: int = 200
    content_type: str = "application/json"
    body: bytes = b""
    is_cut: bool = False  # the connection breaks after the body
    is_missing: bool = False  # it breaks before the status
    headers: Json = field(default_factory=dict)
    pause: float = 0.0  # seconds before it


class Server:
    """The sound one, with answers shaped like vLLM's."""

    owner = "vllm"
    model = MODEL

    def __init__(self) -> None:
        self.seen: list[Json] = []

    def handle(self, raw: bytes) -> Response:
        body = json.loads(raw)
        self.seen.append(body)
        if not isinstance(body.get("messages"), list) or not all(
            "role" in message for message in body["messages"]
        ):
            return self.refusal("messages: not a list of messages")
        if not isinstance(body.get("max_tokens"), int) or isinstance(body.get("tools"), str):
            return self.refusal("a field has the wrong type")
        reply = self.reply(body)
        usage = self.usage(body, reply)
        if body.get("stream"):
            return self.stream_response(self.chunks(body, reply, usage))
        return Response(body=dump(self.whole(body, reply, usage)))

    def admit(self, headers: Any) -> "Response | None":
        """An answer to every request with such headers, before it is read."""
        return None

    def models(self) -> "Json | Response":
        return {"object": "list", "data": [{"id": self.model, "owned_by": self.owner}]}

    def refusal(self, message: str) -> Response:
        return Response(400, body=dump({"error": {"message": message, "code": 400}}))

    # What the model writes.

    def reply(self, body: Json) -> Reply:
        reply = self.limited(self.free_reply(body), body)
        return replace(reply, written=min(self.size(reply), body["max_tokens"]))

    def free_reply(self, body: Json) -> Reply:
        last = body["messages"][-1]
        orders = ORDER.findall(text_of(last["content"])) if last["role"] == "user" else []
        calls = self.calls(body, orders) if body.get("tools") else ()
        if calls:
            return Reply(calls=calls, reason="tool_calls")
        thinks = (body.get("chat_template_kwargs") or {}).get("thinking", True)
        return Reply("ready", "Nothing else is wanted." if thinks else "")

    def calls(self, body: Json, orders: list[tuple[str, str]]) -> tuple[Call, ...]:
        choice = body.get("tool_choice", "auto")
        if choice == "none":
            return ()
        if isinstance(choice, dict):
            orders = [order for order in orders if order[0] == choice["function"]["name"]]
        if body.get("parallel_tool_calls") is False:
            orders = orders[:1]
        first = calls_before(body)
        return tuple(
            Call(self.call_id(name, first + index), name, arguments)
            for index, (name, arguments) in enumerate(orders)
        )

    def call_id(self, name: str, number: int) -> str:
        return f"functions.{name}:{number}"

    def size(self, reply: Reply) -> int:
        parts = [reply.content, reply.reasoning]
        parts += [f"{call.id}{call.arguments}" for call in reply.calls]
        return 1 + sum(map(tokens_in, parts))

    def limited(self, reply: Reply, body: Json) -> Reply:
        """The reply as max_tokens cuts it; here a cut leaves the first call's begin."""
        if self.size(reply) <= body["max_tokens"]:
            return reply
        if body["max_tokens"] == 1:
            return Reply(reply.content[:1], reason="length")
        call = reply.calls[0]
        left = TOKEN.findall(call.arguments)[: body["max_tokens"] - tokens_in(call.id)]
        return Reply(calls=(replace(call, arguments="".join(left)),), reason="length")

    # What the prompt is.

    def usage(self, body: Json, reply: Reply) -> Json:
        prompt = tokens_in(self.prompt(body))
        return {
            "prompt_tokens": prompt,
            "completion_tokens": reply.written,
            "total_tokens": prompt + reply.written,
        }

    def prompt(self, body: Json) -> str:
        parts = [self.tools_text(body["tools"])] if body.get("tools") else []
        return "".join([*parts, *(self.message_text(message) for message in body["messages"])])

    def tools_text(self, tools: list[Json]) -> str:
        """As TypeScript does, without titles."""
        return json.dumps(without_titles(tools))

    def message_text(self, message: Json) -> str:
        calls = message.get("tool_calls") or ()
        return "".join(
            [
                message["role"],
                self.thought_text(message) if calls else "",
                self.content_text(message.get("content")),
                *(f"functions.f:0{call['function']['arguments']}" for call in calls),
            ]
        )

    def thought_text(self, message: Json) -> str:
        return message.get("reasoning_content") or ""

    def content_text(self, content: Any) -> str:
        return text_of(content)

    # How it is sent.

    def whole(self, body: Json, reply: Reply, usage: Json) -> Json:
        message = {
            "role": "assistant",
            "content": reply.content or None,
            "refusal": None,
            "annotations": None,
            "function_call": None,
            "tool_calls": [self.whole_call(call) for call in reply.calls],
            "reasoning": reply.reasoning or None,
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": reply.reason,
            "stop_reason": None,
        }
        return {**self.head(0), "object": "chat.completion", "choices": [choice], "usage": usage}

    def whole_call(self, call: Call) -> Json:
        function = {"name": call.name, "arguments": call.arguments}
        return {"id": call.id, "type": "function", "function": function}

    def head(self, number: int) -> Json:
        return {"id": "chatcmpl-1", "created": 1764500000, "model": self.model}

    def chunks(self, body: Json, reply: Reply, usage: Json) -> list[Json]:
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        deltas += [{"reasoning": piece} for piece in self.pieces(reply.reasoning)]
        deltas += [{"content": piece} for piece in self.pieces(reply.content)]
        for index, call in enumerate(reply.calls):
            deltas += self.call_deltas(index, call)
        chunks = [self.chunk(delta) for delta in deltas]
        chunks += self.end_chunks(reply)
        if (body.get("stream_options") or {}).get("include_usage"):
            chunks.append({**self.chunk({}), "choices": [], "usage": usage})
        return [{**chunk, **self.head(number)} for number, chunk in enumerate(chunks)]

    def end_chunks(self, reply: Reply) -> list[Json]:
        return [self.chunk({"content": ""}, reply.reason)]

    def call_deltas(self, index: int, call: Call) -> Iterable[Json]:
        yield {"tool_calls": [self.call_head(index, call)]}
        for piece in self.pieces(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}

    def call_head(self, index: int, call: Call) -> Json:
        function = {"name": call.name, "arguments": ""}
        return {"index": index, "id": call.id, "type": "function", "function": function}

    def pieces(self, text: str) -> list[str]:
        return [text[at : at + 40] for at in range(0, len(text), 40)]

    def chunk(self, delta: Json, reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {"object": "chat.completion.chunk", "choices": [choice]}

    def stream_response(self, chunks: list[Json]) -> Response:
        return Response(content_type="text/event-stream", body=self.events(chunks))

    def events(self, chunks: list[Json]) -> bytes:
        return b"".join(map(event, chunks)) + b"data: [DONE]\n\n"


class SGLang(Server):
    """Every field in every delta, null where it is empty."""

    owner = "sglang"

    def whole(self, body: Json, reply: Reply, usage: Json) -> Json:
        answer = super().whole(body, reply, usage)
        message = {
            "role": "assistant",
            "content": reply.content or None,
            "reasoning_content": reply.reasoning or None,
            "tool_calls": answer["choices"][0]["message"]["tool_calls"] or None,
        }
        answer["choices"][0] |= {"message": message, "matched_stop": 163586}
        usage |= {"prompt_tokens_details": None, "reasoning_tokens": 0}
        return answer

    def chunk(self, delta: Json, reason: str | None = None) -> Json:
        if "reasoning" in delta:
            delta = {"reasoning_content": delta["reasoning"]}
        empty = {"role": None, "content": None, "reasoning_content": None, "tool_calls": None}
        choice = {
            "index": 0,
            "delta": {**empty, **delta},
            "logprobs": None,
            "finish_reason": reason,
            "matched_stop": None,
        }
        return {"object": "chat.completion.chunk", "choices": [choice], "usage": None}

    def call_deltas(self, index: int, call: Call) -> Iterable[Json]:
        yield {"tool_calls": [self.call_head(index, call)]}
        for piece in self.pieces(call.arguments):
            function = {"name": None, "arguments": piece}
            later = {"id": None, "index": index, "type": "function", "function": function}
            yield {"tool_calls": [later]}


class LlamaCpp(Server):
    """The first characters of the arguments come with the call's head; no field is null."""

    owner = "llamacpp"

    def whole(self, body: Json, reply: Reply, usage: Json) -> Json:
        answer = super().whole(body, reply, usage)
        message: Json = {"role": "assistant", "content": reply.content}
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning
        if reply.calls:
            message["tool_calls"] = [self.whole_call(call) for call in reply.calls]
        choice = {"index": 0, "message": message, "finish_reason": reply.reason}
        return {**answer, "choices": [choice], "timings": {"prompt_n": 1}}

    def chunks(self, body: Json, reply: Reply, usage: Json) -> list[Json]:
        chunks = super().chunks(body, reply, usage)
        chunks[0]["choices"][0]["delta"] = {"role": "assistant", "content": None}
        return chunks

    def end_chunks(self, reply: Reply) -> list[Json]:
        return [self.chunk({}, reply.reason)]

    def chunk(self, delta: Json, reason: str | None = None) -> Json:
        if "reasoning" in delta:
            delta = {"reasoning_content": delta["reasoning"]}
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"object": "chat.completion.chunk", "choices": [choice]}

    def call_deltas(self, index: int, call: Call) -> Iterable[Json]:
        head = self.call_head(index, call)
        head["function"]["arguments"] = call.arguments[:1]
        yield {"tool_calls": [head]}
        for piece in self.pieces(call.arguments[1:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


SOUND = {"vllm": Server, "sglang": SGLang, "llama.cpp": LlamaCpp}


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def event(chunk: Json) -> bytes:
    return b"data: " + dump(chunk) + b"\n\n"


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    return content or ""


def calls_before(body: Json) -> int:
    return sum(len(message.get("tool_calls") or ()) for message in body["messages"])


def without_titles(value: Any) -> Any:
    if isinstance(value, dict):
        # A property may be called title; a title is text.
        return {
            name: without_titles(item)
            for name, item in value.items()
            if name != "title" or not isinstance(item, str)
        }
    return [without_titles(item) for item in value] if isinstance(value, list) else value


def native_text(reply: Reply) -> str:
    """The calls as the model writes them."""
    calls = "".join(
        f"<|tool_call_begin|>{call.id}<|tool_call_argument_begin|>{call.arguments}<|tool_call_end|>"
        for call in reply.calls
    )
    return f"<|tool_calls_section_begin|>{calls}<|tool_calls_section_end|>"
