"""Text from untrusted files steers no terminal."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import k2compat
from k2compat.printable import CHARACTERS_SHOWN, counted, printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("blk.0.attn_q.weight", "blk.0.attn_q.weight"),
        ("专家", "专家"),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shortened(text) == shown


def test_a_long_text_is_cut_where_it_is_shortened() -> None:
    text = "x" * (CHARACTERS_SHOWN + 1)
    assert shortened(text) == "x" * CHARACTERS_SHOWN + "…"
    assert printable(text) == text


def test_a_count_of_one_has_the_singular() -> None:
    assert counted(1, "file") == "1 file"
    assert counted(0, "file") == "0 files"
    assert counted(1_026, "more entry", "more entries") == "1,026 more entries"


NOUNS = (
    "answers|arrays|bits|blocks|bytes|characters|dimensions|elements|errors|experts|files|findings"
    "|flags|groups|GPUs|heads|items|layers|levels|markers|models|names|nodes|parameters|parts"
    "|patterns|places|problems|ranks|replicas|requests|rows|scripts|sets|shards|snapshots|stages"
    "|tensors|times|tokens|types|values|warnings"
)
COUNTING_NAMES = frozenset(("count", "gpus", "gpus_per_node", "number", "total", "world_size"))


def test_no_message_counts_without_the_singular() -> None:
    """In all rooms but the parser's, which needs the standard library alone."""
    found = []
    package = Path(k2compat.__file__).parent
    for source in sorted(package.rglob("*.py")):
        if source.relative_to(package).parts[0] != "toolcalls":
            tree = ast.parse(source.read_text(encoding="utf-8"))
            found += [f"{source.relative_to(package)}:{line}" for line in uncounted(tree)]
    assert found == []


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ('f"{len(names):,} tensors"', True),
        ('f"{n:,} more files"', True),
        ('f"{sum(sizes)} bytes"', True),
        ('f"{count} times"', True),
        ("f\"{counted(n, 'file')}\"", False),
        ('f"at most {FILES_MAX:,} files"', False),
        ('f"{seconds:.1f} values"', False),
        ('f"{tokens:8,} tokens fit"', False),
        ('f"{name} files"', False),
    ],
)
def test_the_scan_finds_counts_alone(code: str, is_found: bool) -> None:
    assert list(uncounted(ast.parse(code))) == [1] * is_found


def uncounted(tree: ast.AST) -> Iterator[int]:
    """The lines with a number before a plural that stays a plural after 1."""
    plural = re.compile(rf" (?:[a-z-]+ )?(?:{NOUNS})\b")
    for words in ast.walk(tree):
        if isinstance(words, ast.JoinedStr):
            for value, text in pairwise(words.values):
                if (
                    isinstance(value, ast.FormattedValue)
                    and isinstance(text, ast.Constant)
                    and plural.match(str(text.value))
                    and _is_count(value)
                ):
                    yield words.lineno


def _is_count(value: ast.FormattedValue) -> bool:
    """Whether a whole number stands there: no limit, which is more than one, and no column."""
    of = value.value
    if isinstance(of, ast.Name) and of.id.isupper():
        return False
    if value.format_spec is not None:
        return ast.unparse(value.format_spec) == "f','"
    if isinstance(of, ast.Call):
        return ast.unparse(of.func) in {"len", "sum"}
    return ast.unparse(of).rpartition(".")[2] in COUNTING_NAMES
