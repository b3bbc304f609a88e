"""The examples in the documentation: finding them, and running those in Python."""

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(
    r"^(?P<fence>```+)(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


class Example(NamedTuple):
    """A fenced block of a page; `line` is the number of its first line."""

    text: str
    line: int


def examples_of(page: Path, language: str) -> Iterator[Example]:
    """The page's blocks in a language, in order."""
    text = page.read_text(encoding="utf-8")
    for block in _FENCE.finditer(text):
        if block["language"] == language:
            yield Example(block["text"], text.count("\n", 0, block.start("text")) + 1)


def run_python(page: Path) -> dict[str, Any]:
    """Run a page's Python blocks from top to bottom, as one program.

    A block with `>>>` is a session whose output is compared (... stands for
    anything), any other is plain code. Failures point at the page's own lines.

    Returns:
        What the program defined.
    """
    namespace: dict[str, Any] = {"__name__": page.stem}
    for example in examples_of(page, "python"):
        if example.text.startswith(">>>"):
            _run_session(page, example, namespace)
        else:
            padding = "\n" * (example.line - 1)
            exec(compile(padding + example.text, str(page), "exec"), namespace)
    return namespace


def _run_session(page: Path, example: Example, namespace: dict[str, Any]) -> None:
    session = doctest.DocTestParser().get_doctest(
        example.text, namespace, page.name, str(page), example.line - 1
    )
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    runner.run(session, out=said.append, clear_globs=False)
    assert not runner.failures, "".join(said)
    namespace.update(session.globs)
