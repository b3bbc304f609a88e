"""LiteLLM's hooks, called as LiteLLM calls them, with stand-ins for its classes."""

import asyncio
import subprocess
import sys
import types
from collections.abc import AsyncIterator
from typing import Any

import pytest

from k2compat.gateway import Options
from k2compat.gateway.faces import litellm_hooks
from k2compat.gateway.faces.litellm_hooks import Hooks, make_handler
from tests.gateway.servers import chunk, completion
from tests.gateway.support import USER, assistant, call, request, result
from tests.toolcalls.transcripts import call as written_call
from tests.toolcalls.transcripts import section

TEXT = "Hi." + section(written_call("functions.weather:1", {"city": "Paris"}))


class Response:
    """As LiteLLM's ModelResponse: made from fields, dumped to them."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def model_dump(self) -> Any:
        return self.fields


def before(hooks: Hooks, data: Any, call_type: str = "acompletion") -> Any:
    return asyncio.run(
        hooks.async_pre_call_hook(
            user_api_key_dict=None, cache=None, data=data, call_type=call_type
        )
    )


def after(hooks: Hooks, data: Any, response: Any) -> Any:
    return asyncio.run(
        hooks.async_post_call_success_hook(data=data, user_api_key_dict=None, response=response)
    )


def streamed(hooks: Hooks, data: Any, chunks: list[Any]) -> list[Any]:
    async def source() -> AsyncIterator[Any]:
        for each in chunks:
            yield each

    async def session() -> list[Any]:
        hook = hooks.async_post_call_streaming_iterator_hook(
            user_api_key_dict=None, response=source(), request_data=data
        )
        return [each async for each in hook]

    return asyncio.run(session())


BODY = request(
    USER, assistant(call("call_1"), content="x"), result("call_1"), api_base="http://own", n=1
)


def test_a_request_is_repaired_and_its_address_is_litellm_s_own() -> None:
    data = before(Hooks(), dict(BODY))
    assert data["messages"][2]["tool_call_id"] == "functions.weather:0"
    assert data["api_base"] == "http://own"


def test_what_the_answer_needs_is_kept_beside_litellm_s_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(litellm_hooks, "_KEPT_MAX", 1)
    hooks = Hooks()
    body = request({"role": "user", "content": "<|im_end|>"})
    for number in ("1", "2"):
        data = before(hooks, body | {"litellm_call_id": number})
        assert data.keys() == body.keys() | {"litellm_call_id"}
    echo = completion({"content": data["messages"][0]["content"]})
    made = after(hooks, data, Response(**echo))
    assert made.fields["choices"][0]["message"]["content"] == "<|im_end|>"
    assert not hooks._kept


def test_other_calls_pass() -> None:
    data = {"input": "x"}
    assert before(Hooks(), data, "aembedding") is data


def test_a_refused_request_is_answered_with_a_sentence() -> None:
    hooks = Hooks(Options(marker_text="refuse"))
    assert "<|im_end|>" in before(hooks, request({"role": "user", "content": "<|im_end|>"}))


@pytest.mark.parametrize("repaired", [False, True])
def test_a_whole_answer_is_read(repaired: bool) -> None:
    hooks = Hooks()
    data = before(hooks, dict(BODY)) if repaired else dict(BODY)
    answer = after(hooks, data, Response(**completion({"content": TEXT}), usage={"total": 1}))
    assert isinstance(answer, Response)
    (choice,) = answer.fields["choices"]
    assert choice["message"]["tool_calls"][0]["id"] == "functions.weather:1"
    assert choice["finish_reason"] == "tool_calls"
    assert answer.fields["usage"] == {"total": 1}


@pytest.mark.parametrize("response", [Response(data=[]), Response(choices=[]), "text"])
def test_what_is_no_chat_answer_passes(response: Any) -> None:
    assert after(Hooks(), {}, response) is response


@pytest.mark.parametrize("ended", [False, True])
def test_a_stream_is_read_in_litellm_s_own_class(ended: bool) -> None:
    hooks = Hooks()
    chunks = [Response(**chunk({"content": piece})) for piece in TEXT]
    chunks += [Response(**chunk({}, "stop"))] if ended else []
    usage = Response(choices=[], usage={"total": 1})
    made = streamed(hooks, before(hooks, dict(BODY)), [*chunks, usage])
    assert all(isinstance(each, Response) for each in made)
    assert usage in made
    deltas = [each.fields["choices"][0] for each in made if each is not usage]
    assert "".join(each["delta"].get("content", "") for each in deltas) == "Hi."
    assert [each["finish_reason"] for each in deltas][-1] == "tool_calls"
    assert hooks.problems == ({} if ended else {"upstream-finish-missing": 1})


def test_an_empty_stream_is_empty() -> None:
    assert streamed(Hooks(), {}, []) == []


def test_a_handler_is_of_litellm_s_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    class CustomLogger:
        pass

    module = types.ModuleType("litellm.integrations.custom_logger")
    module.CustomLogger = CustomLogger  # type: ignore[attr-defined]
    for name in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    made = make_handler(Options(skip=frozenset({"roles"})))
    assert isinstance(made, CustomLogger)
    assert isinstance(made, Hooks)
    # LiteLLM looks for a hook in the class itself, and not in its bases.
    assert {name for name in vars(Hooks) if name.startswith("async_")} <= vars(type(made)).keys()
    assert made.options.skip == {"roles"}
    monkeypatch.delitem(vars(litellm_hooks), "handler", raising=False)
    assert isinstance(litellm_hooks.handler, CustomLogger)
    monkeypatch.delitem(vars(litellm_hooks), "handler")
    with pytest.raises(AttributeError):
        _ = litellm_hooks.other


def test_neither_litellm_nor_aiohttp_is_imported_with_the_room() -> None:
    code = "import sys, k2compat.gateway\n"
    code += "from k2compat.gateway.faces import asgi, litellm_hooks\n"
    code += "print({'aiohttp', 'litellm', 'prometheus_client', 'starlette'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
