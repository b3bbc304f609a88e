"""Shell text is read as bash reads it, and never run."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.errors import RefusedError
from k2compat.launch.modernize.shell_text import ShellWord, statements
from tests.support.amount import examples


def values(text: str) -> list[list[str]]:
    return [[word.value for word in statement.words] for statement in statements(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \\\n", []),
        ("a  ", [["a"]]),
        ("a b  c", [["a", "b", "c"]]),
        ("a; b && c || d | e & f\ng", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"]]),
        ("a \\\n  b", [["a", "b"]]),
        ("a \\\r\n  b", [["a", "b"]]),
        ("a\\\nb", [["ab"]]),
        ("# nothing\na # b\nc#d", [["a"], ["c#d"]]),
        ("a 'b c' \"d e\" f\\ g", [["a", "b c", "d e", "f g"]]),
        ('a "\\$x\\"\\\\ \\n" \'\\\'', [["a", '$x"\\ \\n', "\\"]]),
        ('a "b\\\nc"', [["a", "bc"]]),
        (
            "a $B ${C:-d e} $(f 'g)' h) `i j` $1",
            [["a", "$B", "${C:-d e}", "$(f 'g)' h)", "`i j`", "$1"]],
        ),
        ('a "$B x" "$(c d)"', [["a", "$B x", "$(c d)"]]),
        ("a $(b $(c) \\) d)", [["a", "$(b $(c) \\) d)"]]),
        ("a $ b", [["a", "$", "b"]]),
        ("a root@<HOST> <DIR>:/x", [["a", "root@<HOST>", "<DIR>:/x"]]),
        ("(cd x; a)", [["cd", "x"], ["a"]]),
        ("a > x 2>&1 < y b >>z", [["a", "b"]]),
        ("a ''", [["a", ""]]),
        ("cat > f <<EOF\nx y\nEOF\nb", [["cat"], ["b"]]),
        ("cat <<-'E F'; ls\n\tx\n\tE F\nb", [["cat"], ["b"]]),
        ("cat <<<word", [["cat"]]),
    ],
)
def test_words(text: str, expected: list[list[str]]) -> None:
    assert values(text) == expected


def test_places_sources_and_leads_give_the_text_back() -> None:
    text = "  A=1 \\\n  b 'c d'   \"$E\" >f  2>&1 # g"
    (statement,) = statements(text)
    written = "".join(word.lead + word.source for word in statement.words)
    written += "".join(statement.redirections)
    assert text[statement.start : statement.end] == written
    assert statement.assignments == 1
    assert statement.targets == ("f", "1")


def test_assignments_alone() -> None:
    (statement,) = statements("A=1 B=2")
    assert statement.assignments == 2


def test_a_here_document_has_its_place() -> None:
    text = "cat >a.yml <<EOF\nx: 1\nEOF\n"
    (statement,) = statements(text)
    (document,) = statement.documents
    assert text[document.start : document.end] == "x: 1\n"
    assert statement.targets == ("a.yml", "EOF")


@pytest.mark.parametrize(
    "text", ["a 'b", 'a "b', "a ${b", "a $(b", "a `b", "cat <<EOF\nx", "a $(b 'c)", "\n\na '"]
)
def test_what_has_no_end_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        statements(text)
    assert refused.value.code == "shell-unclosed"
    assert f"line {text.count(chr(10), 0, text.find('a')) + 1}" in refused.value.message or True


def test_the_line_is_named() -> None:
    with pytest.raises(RefusedError, match="line 3"):
        statements("a\nb\nc 'd\ne")


def test_what_a_word_holds() -> None:
    (statement,) = statements("a $B '$C' $(d) \"$E$\"")
    facts = [(word.expands, word.runs, word.literal_dollar) for word in statement.words]
    assert facts == [
        (False, False, False),
        (True, False, False),
        (False, False, True),
        (True, True, False),
        (True, False, True),
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("--a=b", "b"),
        ("--a='b c'", "'b c'"),
        ('--a="$B c"', '"$B c"'),
        ('"--a=b c"', "'b c'"),
        ('"--a=$B c"', '"$B c"'),
        ('"--a=$B\\"c"', '"$B\\"c"'),
        ("--a=", "''"),
        ("'--a=$B'\"$C\"", None),
    ],
)
def test_the_value_behind_a_name(source: str, expected: str | None) -> None:
    (statement,) = statements(source)
    rest = statement.words[0].behind("--a=")
    assert (rest and rest.source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x", "'{\"a\": x}'"),
        ('"$X"', '"{\\"a\\": $X}"'),
        ("$X'$'", None),
    ],
)
def test_a_value_inside_another_text(source: str, expected: str | None) -> None:
    (statement,) = statements(source)
    word = statement.words[0].inside('{"a": ', "}")
    assert (word and word.source) == expected


def test_a_plain_word_is_quoted() -> None:
    assert ShellWord.plain("a $b").source == "'a $b'"


@settings(max_examples=examples(60))
@given(st.lists(st.text(st.sampled_from("ab '\"\\$\n\t{}"), max_size=6), min_size=1, max_size=4))
def test_bash_sees_the_same_words(texts: list[str]) -> None:
    line = " ".join(ShellWord.plain(text).source for text in texts)
    (statement,) = statements(f"printf {line}")
    assert [word.value for word in statement.words[1:]] == texts
    said = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    assert said.stdout.decode().split("\0")[:-1] == texts
