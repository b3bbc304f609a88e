"""The script that renews the tables of flags, on a made-up engine and small wheels made here."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.engine_flags import from_reference
from scripts.engine_source import from_source
from scripts.engine_tables import complete, differences, named_as_gone, why_not_written, written
from scripts.refresh_engines import LAUNCH, main

Record = dict[str, Any]

MADE_UP = Path(__file__).parents[1] / "launch" / "engines" / "made_up"

# 60 flags, so that one more or less is below 2 % and six are 10 %.
NAMES = [f"--option-{number}" for number in range(55)]
LISTEN = 'parser.add_argument("--listen", type=int)'
KNOWN = [
    LISTEN,
    'parser.add_argument("--gpus", type=int)',
    'parser.add_argument("--workers")',
    'parser.add_argument("--share", type=float, default=0.9)',
    *(f'parser.add_argument("{name}")' for name in NAMES),
]


@pytest.fixture
def launch(tmp_path: Path) -> Path:
    """A room launch with one engine; its table is as the first wheel has it."""
    folder = tmp_path / "launch"
    shutil.copytree(MADE_UP, folder / "engines")
    (folder / "engines" / "quickserve" / "flags.json").unlink()
    use_real_parser(folder)
    assert refresh(folder, server(tmp_path), "--write") == 1
    return folder


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(
            f"{name}-{version}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        )
    return path


def server(
    folder: Path, version: str = "2.0", calls: list[str] | None = None, first: str = ""
) -> Path:
    lines = "\n    ".join(KNOWN if calls is None else calls)
    source = (
        f"{first}\nimport argparse\n\ndef make_parser():\n"
        f'    parser = argparse.ArgumentParser()\n    parser.add_argument("model")\n    {lines}\n'
        "    return parser\n"
    )
    files = {"quickserve_server/__init__.py": "", "quickserve_server/parser.py": source}
    return wheel(folder, "quickserve_server", version, files)


def refresh(launch: Path, path: Path, *options: str) -> int:
    where = ["--launch", str(launch), "--wheel", f"quickserve-server={path}"]
    return main(["quickserve", *where, *options])


def file_of(launch: Path) -> Path:
    return launch / "engines" / "quickserve" / "flags.json"


def flags_of(launch: Path, version: str = "2.0") -> list[Record]:
    document = json.loads(file_of(launch).read_text())
    (table,) = [table for table in document["tables"] if table["version"] == version]
    flags: list[Record] = table["entries"]["run"]["flags"]
    return flags


def use_real_parser(launch: Path) -> None:
    """The engine's `ask_parser.py` builds the wheel's parser, as a real engine's does."""
    (launch / "engines" / "quickserve" / "ask_parser.py").write_text(
        "def run():\n    from quickserve_server.parser import make_parser\n"
        "    return make_parser().parse_args\n\nPARSERS = {'run': run}\n"
    )


@pytest.mark.parametrize("options", [(), ("--source-only",)])
def test_the_second_run_writes_nothing(
    launch: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    newer = server(tmp_path, "2.1", [*KNOWN, 'parser.add_argument("--new")'])
    assert refresh(launch, newer, "--write", *options) == 1
    text, time = file_of(launch).read_text(), file_of(launch).stat().st_mtime_ns
    assert [flag["names"] for flag in flags_of(launch, "2.1")][-1] == ["--new"]
    assert refresh(launch, newer, "--write", *options) == 0
    assert file_of(launch).read_text() == text
    assert file_of(launch).stat().st_mtime_ns == time


def test_the_way_of_reading_makes_no_difference(
    launch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    computed = [
        *KNOWN,
        'parser.add_argument("--mode", choices=sorted(["b", "a"]), default=str(1))',
        'parser.add_argument("--fast", action=argparse.BooleanOptionalAction)',
        'parser.add_argument("--old", help="(Deprecated: use --fast) Faster.")',
        'parser.add_argument("--older", action=DeprecatedAction)',
        'parser.add_argument("--other", help="Replaces the deprecated --old.")',
    ]
    first = "import argparse\nclass DeprecatedAction(argparse.Action):\n    pass\n"
    newer = server(tmp_path, "2.1", computed, first)
    assert refresh(launch, newer, "--write") == 1
    said = [flag["names"][0] for flag in flags_of(launch, "2.1") if flag.get("deprecated")]
    assert said == ["--old", "--older"]
    capsys.readouterr()
    assert refresh(launch, newer, "--source-only") == 0
    assert "the source\n  compared with 2.1: 0 differences" in capsys.readouterr().out
    newest = server(tmp_path, "2.2", computed, first)
    assert refresh(launch, newest, "--source-only") == 1  # no table has the number 2.2
    assert "compared with 2.1: 0 differences" in capsys.readouterr().out


def test_nothing_is_written_without_being_asked(launch: Path, tmp_path: Path) -> None:
    before = file_of(launch).read_text()
    newer = server(tmp_path, "2.1", [*KNOWN, 'parser.add_argument("--new")'])
    assert refresh(launch, newer) == 1
    assert file_of(launch).read_text() == before


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_a_reading_that_lost_a_tenth_of_the_flags_is_refused(
    launch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    before = file_of(launch).read_text()
    assert refresh(launch, server(tmp_path, version, KNOWN[:-6]), "--write") == 2
    assert "6 of 60 flags are lost, and the history names none of them" in capsys.readouterr().err
    assert file_of(launch).read_text() == before


def test_a_table_from_which_a_tenth_of_the_flags_was_cut_is_refused(
    launch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(file_of(launch).read_text())
    entry = document["tables"][0]["entries"]["run"]
    entry["flags"] = [flag for flag in entry["flags"] if flag["names"][0] not in NAMES[::9]]
    file_of(launch).write_text(written(document))
    before = file_of(launch).read_text()
    assert refresh(launch, server(tmp_path), "--write") == 2
    assert "the table of this release lacks 7 of its 60 flags" in capsys.readouterr().err
    assert file_of(launch).read_text() == before
    assert refresh(launch, server(tmp_path), "--write", "--accept-loss") == 1
    assert len(flags_of(launch)) == 60


def test_one_lost_flag_that_the_profile_uses_is_refused(
    launch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [call for call in KNOWN if call != LISTEN]
    assert refresh(launch, server(tmp_path, "2.1", calls), "--write") == 2
    said = capsys.readouterr()
    assert "the launch profile uses flags that are lost (profile.toml:" in said.err
    assert "  removed --listen\n" in said.out
    assert "  profile.toml:21: --listen\n" in said.out
    assert "  history.toml:6: --listen\n" in said.out


def test_a_table_that_refuses_a_rendering_is_not_written(
    launch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file_of(launch).read_text()
    calls = [call.replace('--gpus", type=int', "--gpus\", choices=['1', '2']") for call in KNOWN]
    assert refresh(launch, server(tmp_path, "2.1", calls), "--write") == 2
    said = capsys.readouterr().err
    assert "not written: the new table refuses what launch renders" in said
    assert "--gpus does not take '8'" in said
    assert file_of(launch).read_text() == before


def test_a_parser_that_cannot_be_imported_is_read_from_its_source(
    launch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = server(tmp_path, first="import no_such_library")
    assert refresh(launch, path, "--python", sys.executable) == 0
    said = capsys.readouterr()
    assert "no_such_library" in said.err
    assert "the source\n" in said.out


def test_a_wheel_without_flags_is_not_written(
    launch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = wheel(tmp_path, "quickserve_server", "3.0", {"quickserve_server/x.py": "A = 1\n"})
    assert refresh(launch, path, "--write", "--source-only") == 2
    assert "no flags of run were found" in capsys.readouterr().err


def test_a_release_that_cannot_be_fetched_is_named(
    launch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Nothing:
        returncode = 1
        stdout = "quickserve-server (9.9)\n"

    monkeypatch.setattr(subprocess, "run", lambda *_, **__: Nothing())
    assert main(["quickserve", "--launch", str(launch)]) == 2
    assert "quickserve-server 9.9 has no wheel here" in capsys.readouterr().err


REFERENCE = """
commands:
  run:
    options:
      listen: {type: int, default: 8000, status: beta, required: false, multiple: false,
               is_flag: false, flags: ["--listen", "--port"]}
      telemetry: {type: bool, default: true, status: beta, required: false, multiple: false,
                  is_flag: true, flags: ["--no-telemetry", "--telemetry"]}
      backend: {type: "Choice(['a', 'b'])", default: a, status: deprecated, required: false,
                multiple: true, is_flag: false, flags: ["--backend"]}
  other:
    options: {}
"""


def test_a_reference_of_the_command_line() -> None:
    assert from_reference(REFERENCE)["run"].flags == [
        {"names": ["--listen", "--port"], "type": "int", "default": 8000},
        {"names": ["--telemetry", "--no-telemetry"], "nargs": 0, "off": ["--no-telemetry"]},
        {
            "names": ["--backend"],
            "choices": ["a", "b"],
            "deprecated": True,
            "repeatable": True,
            "default": "a",
        },
    ]


def test_a_reference_in_place_of_a_wheel(launch: Path, tmp_path: Path) -> None:
    source = tmp_path / "cli.yaml"
    source.write_text(REFERENCE)
    given = ["quickserve", "--launch", str(launch), "--source", f"quickserve={source}", "--write"]
    assert main(given) == 2  # neither release nor commit
    numbers = ["--release", "2.5", "--commit", "1234abc"]
    assert main([*given, *numbers]) == 2  # it lost nearly all
    file_of(launch).unlink()
    assert main([*given, *numbers, "--accept-loss"]) == 1
    (table,) = json.loads(file_of(launch).read_text())["tables"]
    assert (table["version"], table["source"]) == (
        "2.5",
        "cli.yaml at 1234abc, the CLI reference",
    )
    assert main([*given, *numbers]) == 0


def test_a_flag_that_the_history_names_as_gone_is_not_lost(tmp_path: Path) -> None:
    home = tmp_path / "sglang"
    shutil.copytree(LAUNCH / "engines" / "sglang", home)
    entry = "sglang.launch_server"
    (gone, *_) = named_as_gone(home / "history.toml", entry)
    assert why_not_written([{"names": [gone]}], [], home, entry) == ""
    assert why_not_written([{"names": ["--x"]}], [], home, entry) != ""
    (home / "history.toml").unlink()
    assert why_not_written([{"names": [gone]}], [], home, entry) != ""


def read_source(folder: Path, source: str) -> list[Record]:
    (folder / "file.py").write_text(source)
    return from_source(folder, ["file.py"]).flags


def test_click_options(tmp_path: Path) -> None:
    run = """
import click
@click.command()
@click.argument("model", required=False)
@click.option("--tp", "tp_size", type=int)
@click.option("--mode", type=click.Choice(["a", "b"]))
@click.option("--fast/--slow", default=False)
@click.option("--node", multiple=True)
@click.option("--dry-run", is_flag=True)
def run(): ...
"""
    assert read_source(tmp_path, run) == [
        {"names": ["--tp"], "type": "int"},
        {"names": ["--mode"], "choices": ["a", "b"]},
        {"names": ["--fast", "--slow"], "nargs": 0, "off": ["--slow"]},
        {"names": ["--node"], "repeatable": True},
        {"names": ["--dry-run"], "nargs": 0},
    ]
    extract = from_source(tmp_path, ["file.py"])
    assert (extract.parser, extract.positionals) == (
        "click",
        [{"name": "model", "required": False}],
    )


def test_annotated_fields(tmp_path: Path) -> None:
    fields = """
MODES = ["x", "y"]
class Args:
    model_path: A[str, "help"]
    tp_size: A[int, Arg(help="x", aliases=["--tensor-parallel-size"])] = 1
    trust: A[bool, "help"] = False
    maybe: A[Optional[bool], "help"] = None
    both: A[Optional[bool], Arg(action=argparse.BooleanOptionalAction)] = None
    sizes: A[Optional[List[int]], "help"] = None
    mode: A[Literal["a", "b"], "help"] = "a"
    hidden: A[int, Arg(no_cli=True)] = 0
    backend: A[Optional[str], Arg(choices=MODES)] = None
    plain: int = 3
"""
    assert read_source(tmp_path, fields) == [
        {"names": ["--model-path"], "required": True},
        {"names": ["--tp-size", "--tensor-parallel-size"], "type": "int", "default": 1},
        {"names": ["--trust"], "nargs": 0},
        {"names": ["--maybe"], "nargs": 0},
        {"names": ["--both", "--no-both"], "nargs": 0, "off": ["--no-both"]},
        {"names": ["--sizes"], "nargs": "+", "type": "int"},
        {"names": ["--mode"], "choices": ["a", "b"], "default": "a"},
        {"names": ["--backend"], "choices": ["x", "y"]},
        {"names": ["-h", "--help"], "nargs": 0, "help": True},
    ]


def test_flags_made_from_the_fields_of_classes(tmp_path: Path) -> None:
    source = """
class ModelConfig:
    max_model_len: int | None = None
    enforce_eager: bool = False
    enable_lora: bool = False
    disable_cascade: bool = True
    seeds: list[int] = field(default_factory=list)

class EngineArgs:
    seed: int = 7

    @staticmethod
    def add_cli_args(parser: FlexibleArgumentParser):
        model_kwargs = get_kwargs(ModelConfig)
        group = parser.add_argument_group("model")
        group.add_argument("--max-model-len", **model_kwargs["max_model_len"])
        group.add_argument("--enforce-eager", **model_kwargs["enforce_eager"])
        group.add_argument("--enable-lora", **model_kwargs["enable_lora"])
        group.add_argument("--disable-cascade", "-dc", **model_kwargs["disable_cascade"])
        group.add_argument("--seeds", **model_kwargs["seeds"])
        group.add_argument("--seed", default=EngineArgs.seed, type=int)
        group.add_argument("--elsewhere", **others)

class BaseFrontend:
    port: int = 8000

    @classmethod
    def add_cli_args(cls, parser):
        for key, value in get_kwargs(cls).items():
            parser.add_argument(f"--{key.replace('_', '-')}", **value)

class Frontend(BaseFrontend):
    api_server: str | None = None
"""
    off = ["--no-enforce-eager"]
    found = read_source(tmp_path, source)
    assert sorted(found, key=lambda flag: flag["names"][0] in ("--port", "--api-server")) == [
        {"names": ["--max-model-len"], "type": "size"},
        {"names": ["--enforce-eager", *off], "nargs": 0, "off": off},
        {"names": ["--enable-lora", "--disable-lora"], "nargs": 0, "off": ["--disable-lora"]},
        {
            "names": ["--disable-cascade", "-dc", "--enable-cascade"],
            "nargs": 0,
            "off": ["--enable-cascade"],
        },
        {"names": ["--seeds"]},
        {"names": ["--seed"], "type": "int", "default": 7},
        {"names": ["--elsewhere"]},
        {"names": ["-h", "--help"], "nargs": 0, "help": True},
        {"names": ["--port"], "type": "int", "default": 8000},
        {"names": ["--api-server"]},
    ]


def test_what_a_source_does_not_contain_is_the_tables(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(
        'import argparse\np = argparse.ArgumentParser()\np.add_argument("--mode", choices=made())\n'
        'p.add_argument("--on", action=argparse.BooleanOptionalAction)\n'
    )
    extract = from_source(tmp_path, ["file.py"])
    table: list[Record] = [
        {"names": ["--on", "--off"], "nargs": 0, "off": ["--off"]},
        {"names": ["--mode"], "choices": ["a"]},
    ]
    found = complete(extract, table)
    assert found[:2] == table
    assert [flag["names"] for flag in found[2:]] == [["-h", "--help"]]


def test_differences_guess_a_new_name() -> None:
    old: list[Record] = [
        {"names": ["--cuda-graph-bs"], "nargs": "+"},
        {"names": ["--gone"]},
    ]
    new: list[Record] = [{"names": ["--cuda-graph-bs-decode"], "nargs": "+"}]
    assert list(differences(old, new)) == [
        "removed --cuda-graph-bs (perhaps renamed --cuda-graph-bs-decode)",
        "removed --gone",
        "added --cuda-graph-bs-decode",
    ]
    one, other = ["a", "b"], ["b", "a"]
    first: Record = {"names": ["--x"], "choices": one}
    second: Record = {"names": ["--x"], "choices": other}
    assert list(differences([first], [second])) == []


def test_the_tables_are_as_the_script_writes_them() -> None:
    for path in sorted(LAUNCH.glob("engines/*/flags.json")):
        text = path.read_text(encoding="utf-8")
        assert written(json.loads(text)) == text, path.name
