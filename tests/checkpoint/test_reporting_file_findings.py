from k2compat.checkpoint.reporting import FileFindings


def test_a_place_inside_the_file_follows_its_path() -> None:
    defects = FileFindings("a\n.gguf")
    defects.add("file-empty", "is empty")
    defects.add("file-empty", "is empty", at="byte 0", expected=1, actual="\x00", fix="do")
    outside, inside = defects.findings()
    assert outside.where == "a\\n.gguf"
    assert inside.where == "a\\n.gguf: byte 0"
    assert (inside.expected, inside.actual, inside.fix) == ("1", "\\x00", "do")
