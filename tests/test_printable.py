"""Text from untrusted files steers no terminal."""

import ast
import re
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


ROOMS = ("arguments", "checkpoint/companions", "cli", "files", "hub", "staging")
"""Where each count in a message goes through `counted`."""

NOT_YET = {"launch.py", "preflight.py"}
"""Commands whose messages do not go through it so far."""

NOUNS = "bytes|errors|files|findings|layers|parameters|problems|shards|snapshots|tensors|warnings"


def test_no_message_counts_without_the_singular() -> None:
    uncounted = re.compile(rf" (?:[a-z]+ )?(?:{NOUNS})\b")
    found = []
    package = Path(k2compat.__file__).parent
    for source in (path for room in ROOMS for path in sorted((package / room).rglob("*.py"))):
        for words in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(words, ast.JoinedStr):
                for value, text in pairwise(words.values):
                    if (
                        isinstance(value, ast.FormattedValue)
                        and isinstance(text, ast.Constant)
                        and uncounted.match(str(text.value))
                        and _is_count(value)
                        and source.name not in NOT_YET
                    ):
                        found.append(f"{source.relative_to(package)}:{words.lineno}")
    assert found == []


def _is_count(value: ast.FormattedValue) -> bool:
    """Whether a number stands there, and not a limit, which is more than one."""
    of = value.value
    is_length = isinstance(of, ast.Call) and ast.unparse(of.func) == "len"
    is_limit = isinstance(of, ast.Name) and of.id.isupper()
    return (is_length or value.format_spec is not None) and not is_limit
