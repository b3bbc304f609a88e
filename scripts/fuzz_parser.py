"""Fuzzes the parser with atheris: coverage-guided search for text that breaks a law.

    pip install atheris
    python scripts/fuzz_parser.py [-max_total_time=1200] [CORPUS_FOLDER]

atheris is not in the lock, and CI does not need it. A finding is written to a
file by libFuzzer; give that file as an argument to see it again.
"""

import json
import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, not as a module

with atheris.instrument_imports(include=["k2compat"]):
    from k2compat.toolcalls.markers import MARKERS

from tests.toolcalls.conservation import lost_characters
from tests.toolcalls.transcripts import read

PIECES = [
    *MARKERS,
    "functions.get_weather:0",
    "functions.search1",
    "call_0a9f",
    "7",
    '{"city": "Paris"}',
    '{"name": "search", "x": [1, {"y": null}]}',
    '{"a": "',
    '\\u00e9\\n"}',
    '"}',
    "-0.5e3",
    "[[",
    "<|tool_call_",
    "[EO",
    " \n",
    "text",
]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"properties": {key: {}}}}}
    for name, key in (("get_weather", "city"), ("search", "x"))
]


def text_of(data: atheris.FuzzedDataProvider) -> str:
    """Text of pieces and of free characters, as the bytes say."""
    parts = []
    while data.remaining_bytes():
        choice = data.ConsumeIntInRange(0, len(PIECES) + 3)
        free = choice >= len(PIECES)
        parts.append(data.ConsumeUnicode(4) if free else PIECES[choice])
    return "".join(parts)


def is_object(text: str) -> bool:
    """What `json` says."""
    try:
        return isinstance(json.loads(text, parse_constant=int), dict)
    except (ValueError, RecursionError):
        return False


def check(data: bytes) -> None:
    """The laws, for one input."""
    provider = atheris.FuzzedDataProvider(data)
    options = {
        "reasoning": provider.PickValueInList(["off", "tagged", "prefilled"]),
        "tools": provider.PickValueInList([None, TOOLS, TOOLS[:1]]),
        "keep_text_after_calls": provider.ConsumeBool(),
    }
    step = provider.ConsumeIntInRange(1, 9)
    text = text_of(provider)
    reading = read([text], **options)
    for size in (1, step):
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        assert read(chunks, **options) == reading, "law 1"
    assert all(is_object(c.arguments) == c.complete for c in reading.message.tool_calls), "complete"
    lost = lost_characters(text, reading, options)
    assert not lost, f"law 2: {lost}"


def main() -> None:
    """Run until stopped, or as libFuzzer's options say."""
    folder = Path(".fuzz")
    folder.mkdir(exist_ok=True)
    atheris.Setup([*sys.argv, f"-artifact_prefix={folder}/"], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
