"""The plug-in's two parsers behind vLLM's own composition of them, without a server."""

import json
import subprocess
from pathlib import Path

from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.toolcalls import parse
from tests_engines.conftest import environment_of, programs_of

ROOT = Path(__file__).parents[1]

# Reads texts from stdin; answers with what vLLM makes of each, whole and in chunks.
SCRIPT = """
import json, sys
from types import SimpleNamespace
from k2compat.toolcalls.plugins import vllm as plugin
plugin.register()
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser.parser_manager import ParserManager

vocabulary = {"<think>": 1, "</think>": 2, "<|tool_calls_section_begin|>": 3, "<|im_middle|>": 4}
tokenizer = SimpleNamespace(get_vocab=lambda: vocabulary)
texts, tools = json.load(sys.stdin)

def put_together(deltas):
    reasoning, content, calls = "", "", {}
    for delta in filter(None, deltas):
        reasoning += delta.reasoning or ""
        content += delta.content or ""
        for piece in delta.tool_calls:
            if piece.id:
                calls[piece.index] = [piece.id, piece.function.name, ""]
            calls[piece.index][2] += piece.function.arguments or ""
    return [reasoning or None, content or None, list(calls.values())]

answers = []
for text, mode in texts:
    parser_class = ParserManager.get_parser(
        tool_parser_name="k2compat",
        reasoning_parser_name=None if mode == "off" else "k2compat",
        enable_auto_tools=True,
    )
    request = ChatCompletionRequest(
        model="m", messages=[{"role": "user", "content": "Hi"}], tools=tools
    )
    prompt = [4, 1] if mode == "prefilled" else [4]
    reasoning, content, calls = parser_class(tokenizer, request.tools).parse(
        text, request, enable_auto_tools=True
    )
    calls = [[call.id, call.name, call.arguments] for call in calls or ()]
    ways = [[reasoning or None, content or None, calls]]
    for size in (1, 5, 1000):
        parser = parser_class(tokenizer, request.tools)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        ways.append(put_together(
            parser.parse_delta(piece, [9], request, prompt, finished=at == len(pieces))
            for at, piece in enumerate(pieces, start=1)
        ))
    answers.append(ways)
print(json.dumps(answers))
"""


def test_every_script_whole_and_streamed() -> None:
    texts = [(script.text, script.reasoning) for script in SCRIPTS.values()]
    answer = subprocess.run(
        [programs_of("vllm") / "python", "-c", SCRIPT],
        input=json.dumps([texts, list(TOOLS)]),
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment_of("vllm", PYTHONPATH=str(ROOT), VLLM_LOGGING_LEVEL="ERROR"),
    )
    answers = json.loads(answer.stdout.splitlines()[-1])
    for (text, mode), ways in zip(texts, answers, strict=True):
        message = parse(text, TOOLS, reasoning=mode)
        calls = [[call.id, call.name, call.arguments] for call in message.tool_calls]
        for way in ways:
            assert way == [message.reasoning, message.content, calls], text
