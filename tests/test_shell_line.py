"""A command that is printed can be pasted, whatever the names in it contain."""

import ast
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import k2compat
from k2compat.checkpoint import validate
from k2compat.config import plan_patch
from k2compat.findings import Codes
from k2compat.shell_line import shell_line, shell_lines

HOSTILE = "m x; touch pwned"
_COMMAND_BEGINNINGS = (*string.ascii_lowercase, "-")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def argv_of(line: str, tmp_path: Path = Path()) -> list[bytes]:
    """The arguments that bash makes of a line: a real shell, in a locale of its own."""
    script = f'printf "%s\\0" {line}'
    done = subprocess.run(
        ["bash", "--norc", "-c", script], stdout=subprocess.PIPE, check=True, env={"LC_ALL": "C"}
    )
    return done.stdout.split(b"\0")[:-1]


# An argument of a process holds no NUL; what no file's name can hold (other lone surrogates)
# is left out here and shown below.
WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"]),
)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_a_shell_reads_the_words_that_were_given(words: list[str]) -> None:
    line = shell_line(*words)
    # Two undecodable bytes can make one character together: bytes are compared.
    assert argv_of(line) == [word.encode("utf-8", "surrogateescape") for word in words]


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_a_line_is_printable_and_has_no_line_end(words: list[str]) -> None:
    assert shell_line(*words).isprintable()


def test_control_characters_are_written_as_escapes() -> None:
    assert shell_line("rm", "a\nb'\\\x1b") == r"rm $'a\012b\'\\\033'"
    assert shell_line("rm", "\ud800") == r"rm $'\355\240\200'"


def test_plain_words_stay_plain() -> None:
    assert shell_line("export", "GLOO_SOCKET_IFNAME=bond0") == "export GLOO_SOCKET_IFNAME=bond0"


def test_a_path_is_no_option() -> None:
    assert shell_line("rm", Path("-rf"), "-v") == "rm ./-rf -v"


def test_commands_follow_one_another() -> None:
    assert shell_lines([("a", "b c"), ("d",)]) == "a 'b c'; d"


def test_a_fix_is_advice_or_one_command_or_several() -> None:
    codes = Codes("checkpoint")

    def fix(given: object) -> str | None:
        return codes.finding("file-empty", "x", "x is empty", fix=given).fix  # type: ignore[arg-type]

    assert fix(None) is None
    assert fix("Fetch it again.") == "Fetch it again."
    assert fix(("rm", Path("a b"))) == "rm 'a b'"
    assert fix([("rm", "a b"), ("ls",)]) == "rm 'a b'; ls"


@pytest.mark.parametrize("name", [HOSTILE, "a\nb", "it's", "$(touch pwned)", "x\u202e"])
def test_a_pasted_fix_of_validate_mends_the_file_and_does_no_more(
    name: str, tmp_path: Path
) -> None:
    model = tmp_path / name
    model.mkdir()
    (model / "config.json").write_bytes(BYTE_ORDER_MARK + b"{}")
    (model / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (finding,) = (each for each in validate(model).report if each.code == "config-byte-order-mark")
    subprocess.run(["bash", "-c", finding.fix or ""], cwd=tmp_path, check=True)
    assert (model / "config.json").read_bytes() == b"{}"
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_validate_and_patch_config_print_the_same_fix(tmp_path: Path) -> None:
    config = tmp_path / HOSTILE / "config.json"
    config.parent.mkdir()
    config.write_bytes(BYTE_ORDER_MARK + b'{"model_type": "kimi_k2"}')
    (config.parent / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    patch = plan_patch(config.read_bytes(), to="kimi_k2", where=str(config))
    fixes = {
        finding.fix
        for finding in (*patch.findings, *validate(config.parent).report)
        if finding.code == "config-byte-order-mark"
    }
    assert len(fixes) == 1


def test_a_fix_that_is_text_is_a_sentence() -> None:
    """A command is given as its words; text that begins like a command was never quoted."""
    for path in Path(k2compat.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "fix":
                for text in _texts(node.value):
                    assert not text.startswith(_COMMAND_BEGINNINGS), f"{path}: {text}"


def _texts(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return [text]
        case ast.IfExp():
            return _texts(node.body) + _texts(node.orelse)
        case ast.BinOp():
            return _texts(node.left)
    return []
