"""The parser is light, and stands alone."""

import subprocess
import sys
from collections.abc import Callable
from inspect import signature

import pytest

import k2compat.toolcalls
from k2compat.toolcalls import SplitReader, StreamParser, parse

LIST_MODULES = """
import sys
before = set(sys.modules)
import k2compat.toolcalls
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_import_loads_the_standard_library_alone() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LIST_MODULES], check=True, capture_output=True, text=True
    )
    loaded = set(answer.stdout.split()) - {"k2compat", "regex"}
    assert loaded <= sys.stdlib_module_names


def test_import_loads_nothing_else_of_the_package() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LIST_MODULES.replace('.partition(".")[0]', "")],
        check=True,
        capture_output=True,
        text=True,
    )
    ours = {name for name in answer.stdout.split() if name.startswith("k2compat")}
    assert all(name == "k2compat" or name.startswith("k2compat.toolcalls") for name in ours)


def test_the_names_are_these() -> None:
    """A name that is added or lost here is one that people import."""
    results = {"Message", "ToolCall", "Problem", "FinishReason"}
    events = {"Event", "Content", "Reasoning", "CallStart", "ArgumentsDelta", "CallEnd"}
    ways_in = {"parse", "StreamParser", "iter_events", "aiter_events", "marker_ids"}
    split = {"SplitReader", "read_answer", "reasoning_mode"}
    options = {"DeclaredTools", "Form", "ReasoningMode", "Tools", "prepare_tools"}
    names = k2compat.toolcalls.__all__
    assert names == sorted(results | events | ways_in | split | options)
    assert all(hasattr(k2compat.toolcalls, name) for name in names)


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (
            parse,
            "text, tools=None, reasoning='off', first_index=0, **options",
        ),
        (
            StreamParser,
            (
                "tools=None, reasoning='off', first_index=0, keep_text_after_calls=False, "
                "marker_ids=None, form='markers', name=None, max_calls=None, "
                "recover_stripped=False"
            ),
        ),
        (StreamParser.feed, "self, text"),
        (StreamParser.feed_token, "self, token_id, text"),
        (StreamParser.finish, "self"),
        (
            SplitReader,
            "tools=None, reasoning='off', first_index=0, **options",
        ),
        (SplitReader.feed, "self, content=None, reasoning=None, tool_calls=(), token_ids=None"),
        (SplitReader.finish, "self, finish_reason=None"),
    ],
)
def test_their_parameters_are_these(function: Callable[..., object], names: str) -> None:
    parameters = signature(function).parameters.values()
    plain = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    assert ", ".join(map(str, plain)) == names
