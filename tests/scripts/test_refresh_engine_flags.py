"""The script that renews the tables of flags, on small wheels made here."""

import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.refresh_engine_flags import (
    LAUNCH,
    differences,
    main,
    named_as_gone,
    why_not_written,
    written,
)

ROUTER = """
import argparse

def parse_router_args(argv):
    parser = argparse.ArgumentParser()
    group = parser.add_argument_group("a")
    prefix = ""
    group.add_argument(f"--{prefix}host", type=str, default="0.0.0.0")
    group.add_argument("--port", "-p", type=int, default=30000)
    group.add_argument("--policy", choices=["random", "cache_aware"])
    group.add_argument("--decode", nargs=1, action="append")
    group.add_argument("--mini-lb", action="store_true")
    group.add_argument("--yes", action=argparse.BooleanOptionalAction)
    group.add_argument("--old", help="(Deprecated) gone soon")
    return parser.parse_args(argv)
"""

EXPECTED = [
    {"names": ["-h", "--help"], "nargs": 0, "help": True},
    {"names": ["--host"], "default": "0.0.0.0"},
    {"names": ["--port", "-p"], "type": "int", "default": 30000},
    {"names": ["--policy"], "choices": ["random", "cache_aware"]},
    {"names": ["--decode"], "repeatable": True},
    {"names": ["--mini-lb"], "nargs": 0},
    {"names": ["--yes", "--no-yes"], "nargs": 0, "off": ["--no-yes"]},
    {"names": ["--old"]},
]


@pytest.fixture
def launch(tmp_path: Path) -> Path:
    """A copy of the launch room's data, to be written to."""
    folder = tmp_path / "launch"
    shutil.copytree(LAUNCH / "engines", folder / "engines")
    (folder / "engines" / "sglang" / "profile.toml").write_text(
        'flags = ["--pd-disaggregation", "--pd-disaggregation-not", "--host"]\n'
    )
    return folder


Record = dict[str, Any]


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


def router(folder: Path, source: str = ROUTER) -> Path:
    files = {"sglang_router/__init__.py": "", "sglang_router/launch_router.py": source}
    return wheel(folder, "sglang_router", "9.9", files)


def refresh(launch: Path, path: Path, *options: str) -> int:
    entry = ["sglang", "sglang_router.launch_router", "--wheel", str(path)]
    return main([*entry, "--launch", str(launch), *options])


def entry_of(launch: Path, engine: str, version: str, entry: str) -> dict[str, object]:
    document = json.loads((launch / "engines" / engine / "flags.json").read_text())
    (table,) = [table for table in document["tables"] if table["version"] == version]
    found: dict[str, object] = table["entries"][entry]
    return found


@pytest.mark.parametrize("options", [(), ("--source-only",)])
def test_parser_and_source_tell_the_same(
    launch: Path, tmp_path: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        refresh(launch, router(tmp_path), "--write", "--version", "9.9", "--accept-loss", *options)
        == 1
    )
    flags = entry_of(launch, "sglang", "9.9", "sglang_router.launch_router")["flags"]
    assert isinstance(flags, list)
    told = [{k: v for k, v in flag.items() if k != "deprecated"} for flag in flags]
    key = repr
    assert sorted(told, key=key) == sorted(EXPECTED, key=key)
    said = capsys.readouterr().out
    assert ("read from the source" if options else "read from the parser") in said
    assert "  removed --pd-disaggregation\n" in said
    assert "  added --yes\n" in said
    assert "  changed --decode" not in said
    assert "  profile row profile.toml:1: --pd-disaggregation\n" in said
    # A second run finds nothing to change.
    assert refresh(launch, router(tmp_path), "--version", "9.9", *options) == 0


def test_a_parser_that_cannot_be_imported_is_read_from_its_source(
    launch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = router(tmp_path, "import no_such_library\n" + ROUTER)
    assert refresh(launch, path, "--python", sys.executable) == 1
    said = capsys.readouterr()
    assert "no_such_library" in said.err
    assert "read from the source" in said.out


def test_nothing_is_written_without_being_asked(launch: Path, tmp_path: Path) -> None:
    before = (launch / "engines" / "sglang" / "flags.json").read_text()
    refresh(launch, router(tmp_path))
    assert (launch / "engines" / "sglang" / "flags.json").read_text() == before


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ('flag = "--pd-disaggregation"', "the launch profile uses flags that are lost"),
        ("", "flags are lost, and the history names none of them"),
    ],
)
def test_a_reading_that_lost_flags_is_not_written(
    launch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], profile: str, words: str
) -> None:
    home = launch / "engines" / "sglang"
    (home / "profile.toml").write_text(profile)
    before = (home / "flags.json").read_text()
    assert refresh(launch, router(tmp_path), "--write") == 2
    assert words in capsys.readouterr().err
    assert (home / "flags.json").read_text() == before


def test_a_flag_that_the_history_names_as_gone_is_not_lost(launch: Path) -> None:
    home = launch / "engines" / "sglang"
    entry = "sglang.launch_server"
    (gone, *_) = named_as_gone(home / "history.toml", entry)
    assert why_not_written([{"names": [gone]}], [], home, entry) == ""
    assert why_not_written([{"names": ["--x"]}], [], home, entry) != ""
    (home / "history.toml").unlink()
    assert why_not_written([{"names": [gone]}], [], home, entry) != ""


def test_the_first_table_of_an_engine_is_made(launch: Path, tmp_path: Path) -> None:
    home = launch / "engines" / "sglang"
    (home / "flags.json").unlink()
    assert refresh(launch, router(tmp_path), "--write") == 1
    entry = entry_of(launch, "sglang", "9.9", "sglang_router.launch_router")
    assert entry["parser"] == "argparse"
    assert refresh(launch, router(tmp_path)) == 0


def test_click_options_and_annotated_fields(launch: Path, tmp_path: Path) -> None:
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
    path = wheel(tmp_path, "kt_kernel", "9.9", {"kt_kernel/cli/commands/run.py": run})
    arguments = ["ktransformers", "kt run", "--wheel", str(path), "--launch", str(launch)]
    assert main([*arguments, "--write", "--source-only", "--accept-loss"]) == 1
    entry = entry_of(launch, "ktransformers", "9.9", "kt run")
    assert entry["positionals"] == [{"name": "model", "required": False}]
    assert entry["parser"] == "click"
    assert entry["flags"] == [
        {"names": ["--tp"], "type": "int"},
        {"names": ["--mode"], "choices": ["a", "b"]},
        {"names": ["--fast", "--slow"], "nargs": 0, "off": ["--slow"]},
        {"names": ["--node"], "repeatable": True},
        {"names": ["--dry-run"], "nargs": 0},
    ]
    fields = """
class Args:
    model_path: A[str, "help"]
    tp_size: A[int, Arg(help="x", aliases=["--tensor-parallel-size"])] = 1
    trust: A[bool, "help"] = False
    maybe: A[Optional[bool], "help"] = None
    both: A[Optional[bool], Arg(action=argparse.BooleanOptionalAction)] = None
    sizes: A[Optional[List[int]], "help"] = None
    mode: A[Literal["a", "b"], "help"] = "a"
    hidden: A[int, Arg(no_cli=True)] = 0
    attention_backend: A[Optional[str], Arg(choices=CHOICES)] = None
    plain: int = 3
"""
    path = wheel(tmp_path, "sglang", "9.9", {"sglang/srt/server_args.py": fields})
    arguments = ["sglang", "sglang.launch_server", "--wheel", str(path), "--launch", str(launch)]
    assert main([*arguments, "--write", "--source-only", "--accept-loss"]) == 1
    flags = entry_of(launch, "sglang", "9.9", "sglang.launch_server")["flags"]
    assert isinstance(flags, list)
    assert flags[:7] == [
        {"names": ["--model-path"], "required": True},
        {"names": ["--tp-size", "--tensor-parallel-size"], "type": "int", "default": 1},
        {"names": ["--trust"], "nargs": 0},
        {"names": ["--maybe"], "nargs": 0},
        {"names": ["--both", "--no-both"], "nargs": 0, "off": ["--no-both"]},
        {"names": ["--sizes"], "nargs": "+", "type": "int"},
        {"names": ["--mode"], "choices": ["a", "b"], "default": "a"},
    ]
    # What the source does not tell is the newest table's.
    assert [flag["names"] for flag in flags[7:]] == [["--attention-backend"], ["-h", "--help"]]
    assert "fa3" in flags[7]["choices"]


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
