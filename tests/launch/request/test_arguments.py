"""Placeholders are carried through; every other dollar is a dollar."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.launch.render.shell_words import shell_word
from k2compat.launch.request.arguments import Argument, Placeholder
from tests.support.amount import examples


@pytest.mark.parametrize(
    ("text", "name"),
    [("$MASTER_IP", "MASTER_IP"), ("${PORT}", "PORT"), ("<YOUR_IMAGE>", "YOUR_IMAGE")],
)
def test_a_whole_value_is_a_placeholder(text: str, name: str) -> None:
    assert Argument.parse(text).parts == (Placeholder(name, text),)


def test_the_host_before_a_port_is_a_placeholder() -> None:
    assert Argument.parse("$MASTER_IP:50000").parts == (
        Placeholder("MASTER_IP", "$MASTER_IP"),
        ":50000",
    )


@pytest.mark.parametrize(
    "text",
    [
        "$(reboot)",
        "`id`",
        "$HOME/models",
        "a$PORT",
        "${PORT:-1}",
        "$PORT:http",
        "<A",
        "$1",
        "$",
        "",
    ],
)
def test_anything_else_is_text(text: str) -> None:
    assert Argument.parse(text).placeholders == ()
    assert str(Argument.parse(text)) == text


@given(st.text())
def test_a_word_is_written_as_it_was_read(text: str) -> None:
    assert str(Argument.parse(text)) == text


def test_templates_keep_the_placeholders_of_their_values() -> None:
    filled = Argument.fill(
        "{host}:{port}", {"host": Argument.parse("$H"), "port": Argument.literal(1)}
    )
    assert filled == Argument.parse("$H:1")
    assert Argument.join(",", [Argument.literal("a"), Argument.parse("<B>")]).parts == (
        "a,",
        Placeholder("B", "<B>"),
    )


def test_a_value_is_not_filled_again() -> None:
    assert str(Argument.fill("{a}", {"a": Argument.literal("{b}")})) == "{b}"


@settings(max_examples=examples(40), deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_shell_reads_back_what_was_written(text: str) -> None:
    word = Argument.literal(text)
    script = f"printf %s {shell_word(word)}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode() == text


def test_a_placeholder_is_a_quoted_variable_in_a_shell() -> None:
    script = f"printf '<%s>' {shell_word(Argument.parse('<HOST>:80'))}"
    environment = {"HOST": "a b$(id)"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env=environment)
    assert done.stdout == b"<a b$(id):80>"


def test_a_placeholder_of_a_guide_may_have_a_dash() -> None:
    """<my-image> was a placeholder in scripts and flags, and plain text in options."""
    (dashed,) = Argument.parse("<my-image>").placeholders
    (plain,) = Argument.parse("<my_image>").placeholders
    assert (dashed.name, plain.name) == ("my_image", "my_image")
    assert shell_word(Argument.parse("<my-image>")) == '"${my_image}"'


def test_an_argument_knows_the_options_that_it_was_filled_with() -> None:
    port = Argument.literal(9000).given_by("port")
    filled = Argument.fill("{host}:{port}", {"host": Argument.parse("$H"), "port": port})
    assert filled.options == {"port"}
    assert Argument.join(",", [filled, Argument.literal("x").given_by("image")]).options == {
        "port",
        "image",
    }
    assert filled == Argument.parse("$H:9000")
