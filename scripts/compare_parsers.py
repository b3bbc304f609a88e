"""Runs our transcripts through the parsers of SGLang and vLLM, where they are installed.

    python scripts/compare_parsers.py

For each peer it prints how many transcripts give the same content and the same
calls, and each difference with the reason we know, if any. What a peer does on
purpose is not called wrong: these are differences. CI never needs this.

Exits 1 if a difference has no known reason, 2 if no peer is installed.
"""

import importlib
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from k2compat.toolcalls.markers import MARKERS

FOLDER = Path(__file__).parents[1] / "fixtures" / "transcripts"


class Answer(NamedTuple):
    """What both sides can say: the content, and name and arguments of each call."""

    content: str
    calls: tuple[tuple[str, str], ...]


class Known(NamedTuple):
    """A difference that is understood: the transcripts' names begin with one of these."""

    names: tuple[str, ...]
    reason: str


# Both peers match the whole call with one regular expression, so they share most.
KNOWN = (
    Known(
        ("row-01", "row-03", "row-07", "row-11-unclosed", "id-delayed-cut", "report-cut"),
        "a call without its end marker, or cut off, is not found; ours is passed on as incomplete",
    ),
    Known(
        ("row-02", "row-04", "report-functions-less", "report-xml", "report-fenced"),
        "a broken header swallows what follows it, up to the next whole call",
    ),
    Known(
        ("row-05", "row-06"),
        "without the exact section begin and argument markers the text is content",
    ),
    Known(
        ("row-11", "report-model-writes"),
        "the first <|tool_call_end|> ends the call, in a string too",
    ),
    Known(("row-12",), "markers with nothing open stay in the content"),
    Known(
        ("row-13", "row-19", "plain-think", "report-calls-inside-think"),
        "reasoning is another parser's work there",
    ),
    Known(
        ("row-14", "plain-content-and-end-of-turn", "report-im-end", "report-section-end"),
        "<|im_end|>, [EOS] and [EOT] are left to the engine's stop tokens",
    ),
    Known(
        ("row-15", "row-16", "plain-white-space"),
        "arguments that are blank or no object, and white space, are not looked at",
    ),
    Known(("row-10",), "what follows the calls is dropped silently"),
    Known(
        ("id-", "report-history", "report-hyphens"),
        "ids other than [word characters and dots]:number are not found, and none is repaired",
    ),
)


def sglang() -> Callable[[str], Answer]:
    """SGLang's detector on a whole text."""
    module = importlib.import_module("sglang.srt.function_call.kimik2_detector")

    def read(text: str) -> Answer:
        result = module.KimiK2Detector().detect_and_parse(text, [])
        calls = tuple((call.name, call.parameters) for call in result.calls)
        return Answer(result.normal_text or "", calls)

    return read


class MarkerTokenizer:
    """As much of a tokenizer as vLLM's parser asks for."""

    def get_vocab(self) -> dict[str, int]:
        """The markers."""
        return {marker: number for number, marker in enumerate(MARKERS)}


def vllm() -> Callable[[str], Answer]:
    """VLLM's tool parser on a whole text; its module has moved over time."""
    try:
        manager = importlib.import_module("vllm.tool_parsers").ToolParserManager
    except ImportError:
        manager = importlib.import_module("vllm.entrypoints.openai.tool_parsers").ToolParserManager
    parser_class = manager.get_tool_parser("kimi_k2")

    def read(text: str) -> Answer:
        result = parser_class(MarkerTokenizer()).extract_tool_calls(text, None)
        calls = tuple((c.function.name, c.function.arguments) for c in result.tool_calls)
        return Answer(result.content or "", calls)

    return read


PEERS: dict[str, Callable[[], Callable[[str], Answer]]] = {"SGLang": sglang, "vLLM": vllm}


def transcripts() -> Iterator[tuple[str, str, Answer]]:
    """Name, text and our answer of each transcript that is read as text."""
    for path in sorted(FOLDER.glob("*.toml")):
        case: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        if case.get("token_ids") != "only":
            expected = case["expected"]
            calls = expected.get("tool_calls", ())
            ours = tuple((call["name"], call["arguments"]) for call in calls)
            yield path.stem, "".join(case["text"]), Answer(expected.get("content", ""), ours)


def reason_for(name: str) -> str | None:
    """Why a peer differs here, if we know."""
    found = (known.reason for known in KNOWN if name.startswith(known.names))
    return next(found, None)


def compare(peer: str, read: Callable[[str], Answer]) -> int:
    """Print how the peer compares; the number of differences without a known reason."""
    same = 0
    differences: dict[str | None, list[str]] = {}
    for name, text, ours in transcripts():
        if read(text) == ours:
            same += 1
        else:
            differences.setdefault(reason_for(name), []).append(name)
    print(f"{peer}: {same} the same, {sum(map(len, differences.values()))} differ")
    for reason, names in differences.items():
        print(f"  {reason or 'NO KNOWN REASON'}:")
        print(*(f"    {name}" for name in names), sep="\n")
    return len(differences.get(None, ()))


def main() -> int:
    """Compare with every peer that can be imported."""
    unexplained = compared = 0
    for peer, load in PEERS.items():
        try:
            read = load()
        except Exception as error:  # noqa: BLE001 - what a half installed engine raises is its own
            print(f"{peer}: not installed, or not whole ({type(error).__name__}: {error})")
            continue
        compared += 1
        unexplained += compare(peer, read)
    if not compared:
        return 2
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
