"""llama.cpp runs the talking model; what comes on the wire is read by ours, and by its own parser.

What llama.cpp's chat endpoint shows of deviations is little: with tools it constrains the model
from the section's begin on. Its raw completions show all.
"""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from k2compat.samples.llama_server import llama_server
from k2compat.samples.talking import GGUF_FILE, SCRIPTS, TOOLS, Script
from k2compat.toolcalls import Message, StreamParser, marker_ids, parse
from tests.support.talking_models import prompt_of, talking_model

pytest.importorskip("xllamacpp", reason="no wheel of xllamacpp for this platform")

WELL_FORMED = [keyword for keyword, script in SCRIPTS.items() if script.is_well_formed]
TOKENS_MAX = 200


@pytest.fixture(scope="module", params=[False, True], ids=["split", "joint"])
def plain(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server whose model has ordinary markers, with each layout of MLA."""
    with llama_server(talking_model("gguf", joint_mla=request.param) / GGUF_FILE) as url:
        yield url


@pytest.fixture(scope="module")
def special() -> Iterator[str]:
    """A server whose model has special markers: the text loses them."""
    with llama_server(talking_model("gguf", special_markers=True) / GGUF_FILE) as url:
        yield url


@pytest.fixture(scope="module")
def ids() -> dict[int, str]:
    """The markers' token ids, as the checkpoint beside the GGUF names them."""
    folder = talking_model(special_markers=True)
    return marker_ids(json.loads((folder / "tokenizer_config.json").read_text()))


def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def request_of(keyword: str) -> dict[str, Any]:
    prompt = prompt_of(keyword, thinking=SCRIPTS[keyword].is_prefilled)
    return {"model": "m", "prompt": prompt, "max_tokens": TOKENS_MAX, "temperature": 1}


def expected(script: Script) -> Message:
    return parse(script.text, TOOLS, reasoning=script.reasoning)


@pytest.mark.sample(3)
@pytest.mark.parametrize("keyword", SCRIPTS)
class TestRawCompletions:
    def test_the_whole_answer_is_the_script(self, plain: str, keyword: str) -> None:
        with client(plain) as openai:
            answer = openai.completions.create(**request_of(keyword))
        assert answer.choices[0].text == SCRIPTS[keyword].text

    def test_the_stream_is_the_script_and_reads_like_it(self, plain: str, keyword: str) -> None:
        script = SCRIPTS[keyword]
        parser = StreamParser(TOOLS, reasoning=script.reasoning)
        with client(plain) as openai:
            chunks = [
                chunk.choices[0].text
                for chunk in openai.completions.create(**request_of(keyword), stream=True)
            ]
        assert "".join(chunks) == script.text
        assert len(chunks) > len(script.parts)
        for chunk in chunks:
            parser.feed(chunk)
        parser.finish()
        assert parser.message == expected(script)


@pytest.mark.sample(3)
@pytest.mark.parametrize("keyword", SCRIPTS)
def test_token_ids_return_what_special_markers_took_from_the_text(
    special: str, ids: dict[int, str], keyword: str
) -> None:
    script = SCRIPTS[keyword]
    parser = StreamParser(TOOLS, reasoning=script.reasoning, marker_ids=ids)
    text = ""
    for chunk in _stream(f"{special}/completion", request_of(keyword)):
        *leading, last = chunk["tokens"] or [-1]
        # A character that is not whole yet comes with its last token.
        for token in leading:
            parser.feed_token(token, "")
        parser.feed_token(last, chunk["content"])
        text += chunk["content"]
    parser.finish()
    assert "<|tool_call_begin|>" not in text
    assert "<|tool_calls_section_begin|>" not in text
    found = parser.message
    assert found.content == expected(script).content
    assert found.reasoning == expected(script).reasoning
    assert found.tool_calls == expected(script).tool_calls


def _stream(url: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    body = {**body, "stream": True, "return_tokens": True, "n_predict": TOKENS_MAX}
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        for line in answer:
            if line.startswith(b"data: {"):
                yield json.loads(line.removeprefix(b"data: "))


def chat_of(keyword: str) -> dict[str, Any]:
    return {
        "model": "m",
        "messages": [{"role": "user", "content": f"Please answer {keyword}"}],
        "tools": list(TOOLS),
        "max_tokens": TOKENS_MAX,
        "extra_body": {"chat_template_kwargs": {"thinking": SCRIPTS[keyword].is_prefilled}},
    }


@pytest.mark.sample(3)
@pytest.mark.parametrize("keyword", WELL_FORMED)
class TestItsOwnParser:
    """llama.cpp recognises the chat template and reads the calls itself."""

    def test_a_whole_answer_is_read_as_we_read_it(self, plain: str, keyword: str) -> None:
        with client(plain) as openai:
            message = openai.chat.completions.create(**chat_of(keyword)).choices[0].message
        wanted = expected(SCRIPTS[keyword])
        assert (message.content or None) == wanted.content
        assert getattr(message, "reasoning_content", None) == wanted.reasoning
        assert [
            (call.id, call.function.name, call.function.arguments)
            for call in message.tool_calls or []
            if call.type == "function"
        ] == [(call.id, call.name, call.arguments) for call in wanted.tool_calls]

    def test_a_stream_is_read_as_we_read_it(self, plain: str, keyword: str) -> None:
        with client(plain) as openai:
            chunks = list(openai.chat.completions.create(**chat_of(keyword), stream=True))
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        calls: dict[int, list[str]] = {}
        for delta in deltas:
            for call in delta.tool_calls or []:
                parts = calls.setdefault(call.index, ["", "", ""])
                function = call.function
                assert function
                for place, part in enumerate((call.id, function.name, function.arguments)):
                    parts[place] += part or ""
        wanted = expected(SCRIPTS[keyword])
        assert "".join(delta.content or "" for delta in deltas) == (wanted.content or "")
        assert [calls[index] for index in sorted(calls)] == [
            [call.id, call.name, call.arguments] for call in wanted.tool_calls
        ]


def test_the_switch_strips_the_markers_from_a_whole_answer(special: str) -> None:
    with client(special) as openai:
        answer = openai.completions.create(**request_of("@weather"))
    assert answer.choices[0].text == 'Let me look it up.functions.get_weather:0{"city": "Paris"}'
