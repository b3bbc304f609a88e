"""The Chinese README has all that the English one has, and no hard line ends."""

import re
from pathlib import Path

from tests.support.documentation import ROOT, examples_of

ENGLISH = ROOT / "README.md"
CHINESE = ROOT / "README.zh.md"


def outline(page: Path) -> list[int]:
    """The levels of the page's headings, in order."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]


def links(page: Path) -> set[str]:
    return set(re.findall(r"\]\(([^)]+)\)", page.read_text())) - {"README.md", "README.zh.md"}


def commands(page: Path) -> list[str]:
    """The commands of the page's examples."""
    lines = [line for block in examples_of(page, "console") for line in block.text.splitlines()]
    return [line for line in lines if line.startswith("$ ")]


def test_both_have_the_same_sections_links_and_commands() -> None:
    assert outline(CHINESE) == outline(ENGLISH)
    assert links(CHINESE) == links(ENGLISH)
    assert commands(CHINESE) == commands(ENGLISH)


def test_a_chinese_paragraph_is_one_line() -> None:
    # A line end inside a paragraph is shown as a blank, in the middle of a word.
    text = re.sub(r"^```.*?^```", "", CHINESE.read_text(), flags=re.MULTILINE | re.DOTALL)
    for paragraph in re.split(r"\n{2,}", text.strip()):
        lines = paragraph.strip().splitlines()
        assert len(lines) <= 1 or all(line.startswith("- ") for line in lines), paragraph
