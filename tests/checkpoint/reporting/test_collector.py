import pytest

from k2compat.checkpoint.reporting.collector import MOST_CHARACTERS_SHOWN, Defects, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("blk.0.attn_q.weight", "blk.0.attn_q.weight"),
        ("专家", "专家"),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff", "\\udcff"),
        ("x" * 201, "x" * MOST_CHARACTERS_SHOWN + "…"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_place_inside_the_file_follows_its_path() -> None:
    defects = Defects("a\n.gguf")
    defects.add("file-empty", "is empty")
    defects.add("file-empty", "is empty", at="byte 0", expected=1, actual="\x00", fix="do")
    outside, inside = defects.findings()
    assert outside.where == "a\\n.gguf"
    assert inside.where == "a\\n.gguf: byte 0"
    assert (inside.expected, inside.actual, inside.fix) == ("1", "\\x00", "do")
