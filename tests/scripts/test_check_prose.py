"""The check of prose finds the words of its list, and the repository has none."""

from pathlib import Path

import pytest

from scripts.check_prose import banned_words, files, is_checked, main


@pytest.mark.parametrize(
    "text", ["Mend it.", "was mended", "Nobody reads it.", "be it a FIFO", "the parser is told"]
)
def test_a_banned_word_is_found_with_its_place(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n{text}\n", encoding="utf-8")
    assert main([str(page)]) == 1
    assert capsys.readouterr().out.startswith(f"{page}:2: ")


@pytest.mark.parametrize("text", ["commend, amend", "maybe italics", "it is toldest"])
def test_words_that_contain_one_are_not(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    assert list(banned_words([page])) == []


def test_the_repository_has_none() -> None:
    assert list(banned_words(filter(is_checked, files()))) == []
