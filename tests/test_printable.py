"""Text from untrusted files steers no terminal."""

import pytest

from k2compat.printable import CHARACTERS_SHOWN, printable, shortened


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
