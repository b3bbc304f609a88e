"""The plug-in's detector behind SGLang's own FunctionCallParser, without a server."""

import json
import subprocess
from pathlib import Path

from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.toolcalls import parse
from tests.toolcalls.transcripts import transcripts
from tests_engines.conftest import environment_of, programs_of

ROOT = Path(__file__).parents[1]

# Reads texts from stdin; answers with what SGLang's classes make of each, whole and in chunks.
SCRIPT = """
import json, sys
from tests_engines import sglang_stubs
sglang_stubs.install()
from k2compat.toolcalls.plugins import sglang as plugin
plugin.register()
from sglang.srt.entrypoints.openai.protocol import Tool
from sglang.srt.function_call.function_call_parser import FunctionCallParser

def put_together(results):
    text, calls = "", {}
    for normal_text, items in results:
        text += normal_text or ""
        for item in items:
            if item.name is not None:
                calls[item.tool_index] = [item.name, ""]
            calls[item.tool_index][1] += item.parameters
    return [text, list(calls.values())]

answers = []
for text, declared in json.load(sys.stdin):
    tools = [Tool.model_validate(tool) for tool in declared]
    ways = [put_together([FunctionCallParser(tools, "kimi_k2").parse_non_stream(text)])]
    for size in (1, 5, 1000):
        parser = FunctionCallParser(tools, "kimi_k2")
        results = [
            parser.parse_stream_chunk(text[at : at + size]) for at in range(0, len(text), size)
        ]
        ways.append(put_together([*results, parser.parse_stream_end()]))
    answers.append(ways)
print(json.dumps(answers))
"""


def test_whole_and_streamed_texts_are_read_as_parse_reads_them() -> None:
    texts = [(script.text, list(TOOLS)) for script in SCRIPTS.values() if script.reasoning == "off"]
    texts += [
        (case.text, case.options.get("tools") or list(TOOLS))
        for case in transcripts()
        if case.token_ids != "only" and not case.options.keys() - {"tools"}
    ]
    answer = subprocess.run(
        [programs_of("sglang") / "python", "-c", SCRIPT],
        input=json.dumps(texts),
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment_of("sglang", K2COMPAT_REPLACE_KIMI_K2="1", PYTHONPATH=str(ROOT)),
    )
    answers = json.loads(answer.stdout.splitlines()[-1])
    for (text, tools), ways in zip(texts, answers, strict=True):
        message = parse(text, tools)
        calls = [[call.name, call.arguments] for call in message.tool_calls]
        for way in ways:
            assert way == [message.content or "", calls], text
