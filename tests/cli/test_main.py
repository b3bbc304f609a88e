"""Every command line ends in one form: an answer, or an error with a way out."""

import pkgutil
import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from k2compat.cli import commands, main
from k2compat.cli.commands import explain
from k2compat.cli.main import COMMANDS, run
from k2compat.cli.output import Output
from k2compat.findings import catalogue
from tests.support.command import ENVIRONMENT, Result, k2compat

Command = Callable[..., Result]
COMPLETION = {"_K2COMPAT_COMPLETE": "bash_complete", "COMP_WORDS": "k2compat ", "COMP_CWORD": "1"}


@pytest.mark.parametrize(
    ("arguments", "schema", "code"),
    [
        ("--json", "k2compat", "wrong-usage"),
        ("nonsense --json", "k2compat", "wrong-usage"),
        ("nonsense explain --json", "k2compat", "wrong-usage"),
        ("--json explain", "explain", "wrong-usage"),
        ("explain --json --nonsense", "explain", "wrong-usage"),
        ("explain --json one two", "explain", "wrong-usage"),
        ("explain --json nonsense", "explain", "unknown-code"),
        ("explain --json --", "explain", None),
        ("completion --json", "completion", "wrong-usage"),
        ("completion --json ksh", "completion", "wrong-usage"),
    ],
)
def test_with_json_there_is_always_one_document(
    command: Command, arguments: str, schema: str, code: str | None
) -> None:
    result = command(*arguments.split())
    assert result.document["schema"] == f"k2compat.{schema}/1"
    assert result.document.get("error", {}).get("code") == code
    assert result.code == (2 if code else 0)
    assert result.err == b""


def test_the_table_names_each_module_of_a_command() -> None:
    modules = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    assert {name.replace("-", "_") for name in COMMANDS} == modules
    for name in COMMANDS:
        found = main.program.get_command(click.Context(main.program), name)
        assert found is not None
        assert found.name == name


def test_the_help_lists_the_table_and_imports_no_command() -> None:
    script = (
        "import sys; from k2compat.cli.main import run; run(sys.argv[1:]);"
        "print(*(name for name in sys.modules if 'cli.commands' in name), file=sys.stderr)"
    )
    for arguments, variables in ((["--help"], {}), ([], COMPLETION), (["--version"], {})):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            check=True,
            env={**ENVIRONMENT, **variables},
        )
        assert done.stderr == b"\n"
        if arguments != ["--version"]:
            assert all(name.encode() in done.stdout for name in COMMANDS)
    listed = k2compat("--help").out.decode()
    width = max(map(len, COMMANDS)) + 2
    assert all(f"{name:{width}}{text}\n" in listed for name, text in COMMANDS.items())


def test_after_two_dashes_json_is_no_option(command: Command) -> None:
    result = command("explain", "--", "--json")
    assert (result.code, result.out) == (2, b"")
    assert "[unknown-code]" in result.words


def test_a_misspelt_command_or_option_gets_the_nearest(command: Command) -> None:
    assert "hint: Did you mean k2compat patch-config?" in command("patch-confg").words
    assert "hint: k2compat --help lists all." in command("zzz").words
    assert "--to" in command("patch-config", ".", "--too", "kimi_k2").words


def test_a_bug_is_owned_up_to(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(explain, "catalogue", fail)
    result = command("explain")
    assert result.code == 2
    assert "ZeroDivisionError: a bug. [internal-error]" in result.words
    monkeypatch.setattr(explain, "catalogue", lambda: open("/absent/file"))  # noqa: SIM115, PTH123
    assert "[internal-error]" in command("explain").words


@pytest.mark.parametrize("note", [None, "/models/config.json"])
def test_out_of_memory_is_an_error_of_its_own(
    command: Command, monkeypatch: pytest.MonkeyPatch, note: str | None
) -> None:
    def fail() -> None:
        error = MemoryError()
        if note:
            error.add_note(note)
        raise error

    monkeypatch.setattr(explain, "catalogue", fail)
    result = command("explain", "--json")
    assert (result.code, result.document["error"]["code"]) == (2, "out-of-memory")
    words = f"while it read {note}." if note else "in `k2compat explain --json`."
    assert result.document["error"]["message"] == f"k2compat ran out of memory {words}"


def test_a_second_ctrl_c_ends_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "catalogue", interrupt)
    monkeypatch.setattr(Output, "print_error", interrupt)
    assert command("explain") == Result(130, b"", b"")


def test_ctrl_c_is_answered_in_form(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "catalogue", interrupt)
    result = command("explain")
    assert result.code == 130
    assert "hint: Nothing was changed." in result.words
    assert command("explain", "--json").document["error"]["message"] == "Interrupted by SIGINT."


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_that_fits_a_terminal(command: Command, name: str) -> None:
    result = command(name, "--help")
    assert result.code == 0
    assert b"--json" in result.out
    assert max(len(line) for line in result.out.decode().splitlines()) <= 80


def test_explain_knows_every_code(command: Command) -> None:
    listed = command("explain").out.decode()
    for code, entry in catalogue().items():
        page = command("explain", code).out.decode()
        assert page.startswith(f"{code} ({entry.severity})\n\n")
        assert f"{code} " in listed
    assert len(command("explain", "--json").document["codes"]) == len(catalogue())
    one = command("explain", "--json", "no-space").document
    assert " ".join(one) == "schema code severity summary cause cure findings"


def test_the_group_asks_click_for_nothing_unknown() -> None:
    assert main.program.get_command(click.Context(main.program), "nonsense") is None


def test_a_list_of_choices_is_told_in_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["patch-config", "."]) == 2
    assert "Choose from: kimi_k2, deepseek_v3 [wrong-usage]" in capfd.readouterr().err
