"""Measures the parser against the bars it promises, as ratios within one process.

    python scripts/bench_parser.py

`feed` and `finish` are timed together. Each figure is the best of several
runs, the two sides of a ratio in turn, so that a busy machine disturbs both.
Exits 1 if a bar is missed.
"""

import gc
import json
import re
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from k2compat.toolcalls import ArgumentsDelta, StreamParser, prepare_tools

HEAD = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.write_file:0"
    "<|tool_call_argument_begin|>"
)
TAIL = "<|tool_call_end|><|tool_calls_section_end|>"
LINE = "    for name, value in sorted(table.items()):  # ünïcode\n        print(name, value)\n"

# The expressions of the model's own tool-calling guide.
GUIDE_SECTION = re.compile(
    r"<\|tool_calls_section_begin\|>(.*?)<\|tool_calls_section_end\|>", re.DOTALL
)
GUIDE_CALL = re.compile(
    r"<\|tool_call_begin\|>\s*(?P<tool_call_id>[\w\.]+:\d+)\s*<\|tool_call_argument_begin\|>"
    r"\s*(?P<function_arguments>.*?)\s*<\|tool_call_end\|>",
    re.DOTALL,
)


class Figure(NamedTuple):
    """One bar and what was measured."""

    what: str
    bar: float
    measured: float

    @property
    def kept(self) -> bool:
        """Whether the bar is kept."""
        return self.measured <= self.bar


def arguments_of(size: int) -> str:
    """One JSON object of about `size` characters: a file to write."""
    content = LINE * (size // len(LINE) + 1)
    text = json.dumps({"path": "a/b.py", "content": content}, ensure_ascii=False)
    while len(text) > size:
        content = content[: -(len(text) - size)]
        text = json.dumps({"path": "a/b.py", "content": content}, ensure_ascii=False)
    return text


def cut(text: str, size: int) -> list[str]:
    """The text in pieces of `size` characters."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def seconds(work: Callable[[], object]) -> float:
    """The processor time of one run, without the garbage collector."""
    gc.collect()
    gc.disable()
    begin = time.process_time()
    work()
    taken = time.process_time() - begin
    gc.enable()
    return taken


def ratio(work: Callable[[], object], against: Callable[[], object], runs: int) -> float:
    """How many times longer `work` takes: best against best."""
    pairs = [(seconds(work), seconds(against)) for _ in range(runs)]
    return min(pair[0] for pair in pairs) / min(pair[1] for pair in pairs)


def repeated(work: Callable[[], object], times: int) -> Callable[[], None]:
    """The same work several times."""

    def run() -> None:
        for _ in range(times):
            work()

    return run


def stream(chunks: list[str]) -> None:
    """What a server does."""
    parser = StreamParser()
    parser.feed(HEAD)
    feed = parser.feed
    for chunk in chunks:
        feed(chunk)
    parser.feed(TAIL)
    parser.finish()


def bare_loop(chunks: list[str]) -> None:
    """The least that any parser does: keep each chunk, build one event."""
    parts: list[str] = []
    append = parts.append
    for chunk in chunks:
        append(chunk)
        ArgumentsDelta(0, chunk)


def whole(text: str) -> None:
    """The whole text at once."""
    parser = StreamParser()
    parser.feed(text)
    parser.finish()


def guide(text: str) -> None:
    """What the model's guide does."""
    for section in GUIDE_SECTION.findall(text):
        GUIDE_CALL.findall(section)


def streaming() -> list[Figure]:
    """Arguments in chunks of four characters.

    A run of `seconds` begins with a full garbage collection, which leaves little in the
    processor's caches. A message of 1 KB takes 0.15 ms in warm caches and up to twice as long in
    cold ones, so a run reads several, 20 KB at least. The last figure is of a single one.
    """
    figures = []
    for name, size, bar, runs in (
        ("1 KB", 1_000, 2.5, 100),
        ("10 KB", 10_000, 2.0, 100),
        ("100 KB", 100_000, 2.0, 20),
        ("1 MB", 1_000_000, 2.0, 5),
        ("10 MB", 10_000_000, 2.0, 2),
    ):
        chunks = cut(arguments_of(size), 4)
        times = max(1, 20_000 // size)
        measured = ratio(
            repeated(partial(stream, chunks), times),
            repeated(partial(bare_loop, chunks), times),
            runs,
        )
        figures.append(
            Figure(f"{name} of arguments in 4-character chunks / bare loop", bar, measured)
        )
    chunks = cut(arguments_of(1_000), 4)
    cold = ratio(partial(stream, chunks), partial(bare_loop, chunks), 400)
    figures.append(Figure("1 KB, a single message in cold caches / bare loop", 4.0, cold))
    return figures


TODO = {"content": "Fix the login bug", "status": "pending", "activeForm": "Fixing the bug"}
# The aim is the 2.0 of plain arguments. White space outside strings has to wait, and spaces in
# short strings ask for what stands before them; where both are many, the aim is missed and the
# bar only keeps the cost from growing.
STRUCTURED: tuple[tuple[str, object, tuple[float, float, float]], ...] = (
    (
        "many members",
        {f"key_{index}": "short value" if index % 2 else index for index in range(4000)},
        (2.0, 2.5, 3.0),
    ),
    (
        "numbers",
        {"rows": [[index * 0.25 + column for column in range(8)] for index in range(2000)]},
        (2.0, 2.5, 3.0),
    ),
    (
        "flat objects",
        {"list": [{"id": 12345, "name": "abc", "tags": ["x", "y"], "ok": True}] * 2000},
        (2.5, 3.0, 3.5),
    ),
    ("short sentences", {"todos": [TODO] * 1200}, (3.0, 3.0, 3.5)),
    (
        "nested objects",
        {
            f"k{index}": {"a": {"b": [1, 2, {"c": None}]}, "s": f"word {index}"}
            for index in range(2000)
        },
        (3.0, 3.5, 3.5),
    ),
)


def structured() -> list[Figure]:
    """Arguments of many small values, in the three ways in which JSON is usually written."""
    figures = []
    for name, value, bars in STRUCTURED:
        for style, bar, text in (
            ("compact", bars[0], json.dumps(value, separators=(",", ":"))),
            ("spaced", bars[1], json.dumps(value)),
            ("indented", bars[2], json.dumps(value, indent=2)),
        ):
            chunks = cut(text[:100_000], 4)
            measured = ratio(partial(stream, chunks), partial(bare_loop, chunks), 20)
            figures.append(
                Figure(f"100 KB of {name}, {style}, 4-character chunks / bare loop", bar, measured)
            )
    return figures


def late_chunk() -> Figure:
    """A chunk at the end of 10 MB against one at the end of 10 KB."""
    probe = cut(arguments_of(400_000), 4)

    def after(size: int) -> Callable[[], None]:
        parser = StreamParser()
        parser.feed(HEAD)
        for chunk in cut(arguments_of(size), 4096):
            parser.feed(chunk.rstrip('"}'))

        def feed_all() -> None:
            feed = parser.feed
            for chunk in probe:
                feed(chunk)

        return feed_all

    late, early = after(10_000_000), after(10_000)
    return Figure("a chunk at 10 MB / a chunk at 10 KB", 1.1, ratio(late, early, 7))


def whole_call() -> Figure:
    """A call of 1 MB in one piece."""
    arguments = arguments_of(1_000_000)
    text = HEAD + arguments + TAIL
    taken = min(seconds(lambda: whole(text)) for _ in range(9))
    loads = min(seconds(lambda: json.loads(arguments)) for _ in range(9))
    return Figure("1 MB call whole / (3 x json.loads + 5 ms)", 1.0, taken / (3 * loads + 0.005))


def many_calls() -> Figure:
    """A thousand calls in one piece."""
    text = (
        "<|tool_calls_section_begin|>"
        + "".join(
            f"<|tool_call_begin|>functions.get_weather:{index}<|tool_call_argument_begin|>"
            f'{{"city": "Berlin", "unit": "celsius", "days": {index}}}<|tool_call_end|>'
            for index in range(1000)
        )
        + "<|tool_calls_section_end|>"
    )
    measured = ratio(lambda: whole(text), lambda: guide(text), 30)
    return Figure("1,000 calls whole / the guide's expressions", 6.0, measured)


def tiny_calls() -> Figure:
    """A thousand calls with the shortest arguments, in one piece."""
    text = (
        "<|tool_calls_section_begin|>"
        + "".join(
            f"<|tool_call_begin|>functions.get_weather:{index}<|tool_call_argument_begin|>"
            '{"n": 1}<|tool_call_end|>'
            for index in range(1000)
        )
        + "<|tool_calls_section_end|>"
    )
    measured = ratio(lambda: whole(text), lambda: guide(text), 30)
    return Figure("1,000 tiny calls whole / the guide's expressions", 8.0, measured)


def prepared_parsers() -> list[Figure]:
    """Making a parser with a prepared set of 50 tools: time and memory."""
    tools = prepare_tools(
        [
            {
                "type": "function",
                "function": {
                    "name": f"tool_{index}",
                    "parameters": {"properties": {key: {} for key in "abcdef"}, "required": ["a"]},
                },
            }
            for index in range(50)
        ]
    )

    def make() -> None:
        for _ in range(1000):
            StreamParser(tools)

    taken = min(seconds(make) for _ in range(9)) / 1000
    tracemalloc.start()
    kept = [StreamParser(tools) for _ in range(500)]
    size = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    return [
        Figure("a parser with 50 prepared tools, microseconds", 10.0, taken * 1e6),
        Figure("a parser with 50 prepared tools, KB", 4.0, size / 1000),
    ]


def content_of_openings() -> list[Figure]:
    """Content full of `<`: ten times the text may take ten times as long, and some."""
    figures = []
    for name, unit in (("<", "<"), ("<|tool_call", "<|tool_call"), ("[E", "[E")):
        short, long = cut(unit * 20_000, 7), cut(unit * 200_000, 7)
        measured = ratio(partial(stream_content, long), partial(stream_content, short), 3)
        figures.append(Figure(f"10 x as much content of {name!r}, chunks", 13.0, measured))
    return figures


def stream_content(chunks: list[str]) -> None:
    """Content in chunks."""
    parser = StreamParser()
    for chunk in chunks:
        parser.feed(chunk)
    parser.finish()


PEAK = """
import sys, tracemalloc
sys.path.insert(0, "scripts")
from bench_parser import HEAD, TAIL, arguments_of
from k2compat.toolcalls import StreamParser
arguments = arguments_of(10_000_000)
size = sys.getsizeof(arguments)
parser = StreamParser()
tracemalloc.start()
parser.feed(HEAD)
step = int(sys.argv[1])
for at in range(0, len(arguments), step):
    parser.feed(arguments[at : at + step])
parser.feed(TAIL)
parser.finish()
if sys.argv[2] == "message":
    parser.message
print(tracemalloc.get_traced_memory()[1] / size)
"""


def peak_memory() -> list[Figure]:
    """Peak memory for 10 MB of arguments, in multiples of the text, by tracemalloc."""
    figures = []
    for step, ask in ((4, "events"), (4, "message"), (10_000_000, "events")):
        answer = subprocess.run(
            [sys.executable, "-c", PEAK, str(step), ask], check=True, capture_output=True, text=True
        )
        what = f"peak memory, 10 MB in {step}-character chunks, {ask} only / the text"
        figures.append(Figure(what, 3.0, float(answer.stdout)))
    return figures


def main() -> int:
    """Measure, print the table, and say whether every bar is kept."""
    figures = [
        *streaming(),
        *structured(),
        late_chunk(),
        whole_call(),
        many_calls(),
        tiny_calls(),
        *prepared_parsers(),
        *content_of_openings(),
        *peak_memory(),
    ]
    width = max(len(figure.what) for figure in figures)
    print(f"{'':{width}}   bar  measured")
    for figure in figures:
        verdict = "" if figure.kept else "  MISSED"
        print(f"{figure.what:{width}}  {figure.bar:4.1f}  {figure.measured:8.2f}{verdict}")
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
