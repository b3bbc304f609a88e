r"""Renews the tables of all engines' flags from their newest releases, and reports the changes.

python scripts/refresh_engines.py                     # all engines, only compared
python scripts/refresh_engines.py vllm sglang --write
    --wheel DISTRIBUTION=FILE   a wheel that is at hand; the newest is downloaded otherwise
    --source ENGINE=FILE        a CLI reference, where an engine has no wheel that can be read
    --commit COMMIT             the commit that --source was taken from
    --release VERSION           the release that --source describes
    --python PYTHON             an interpreter with the wheels' dependencies, for the real parsers
    --source-only               do not try the real parsers
    --accept-loss               write although flags were lost, after you have looked at each

For each entry point in an engine's entry_points.toml that has a [[parser]] and is not gone, the
newest release is fetched by the package client. The flags come from the engine's own parser where
it can be imported, otherwise from its source; what a source does not contain stays as the table has
it. The report names the flags that differ, and the rows of the profile and the history that name
one of them.

A reading is not written where it lost flags that the launch profile uses, or more than 2 % of the
table's that the history does not name as gone; where the table describes the same release and lacks
more than 2 % of its flags; or where a rendering that the old table takes is refused by the new one.

TensorRT-LLM's package builds nothing without an index of NVIDIA's: its table is renewed from the
CLI reference in its repository, tests/unittest/api_stability/references/trtllm_serve_cli.yaml.

Exit status: 0 the tables are as the releases have them; 1 one differs (with --write it was
written); 2 one was refused or could not be read, and was not written.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from email import message_from_string
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, not as a module

from scripts.engine_flags import Extract, Record, from_parser, from_reference
from scripts.engine_renderings import refused_renderings
from scripts.engine_source import from_source
from scripts.engine_tables import (
    complete,
    differences,
    read_document,
    touched_lines,
    why_not_written,
    written,
)

LAUNCH = Path(__file__).parents[1] / "k2compat" / "launch"


class UnreadableError(Exception):
    """A release that cannot be fetched or read; the message is one sentence."""


@dataclass(frozen=True)
class Release:
    """What was read of an entry point: its flags, of which release, and where that can be seen."""

    entry: str
    version: str
    source: str
    extract: Extract


def main(arguments: list[str] | None = None) -> int:
    """Read each engine's releases, compare, report, and write where asked."""
    options = _options(arguments)
    engines = options.engine or sorted(p.parent.name for p in _homes(options.launch))
    return max(_refresh(options, engine) for engine in engines)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("engine", nargs="*")
    parser.add_argument("--wheel", action="append", default=[], metavar="DISTRIBUTION=FILE")
    parser.add_argument("--source", action="append", default=[], metavar="ENGINE=FILE")
    parser.add_argument("--commit", default="")
    parser.add_argument("--release", default="")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--source-only", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--accept-loss", action="store_true")
    parser.add_argument("--launch", type=Path, default=LAUNCH, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.wheel = dict(each.split("=", 1) for each in options.wheel)
    options.source = dict(each.split("=", 1) for each in options.source)
    return options


def _homes(launch: Path) -> list[Path]:
    return sorted(launch.glob("engines/*/profile.toml"))


def _refresh(options: argparse.Namespace, engine: str) -> int:
    """All entry points of one engine; one file is written at the end, or none."""
    home = options.launch / "engines" / engine
    path = home / "flags.json"
    document = read_document(path, engine)
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        for read in _readings(options, home, engine, Path(folder)):
            if isinstance(read, UnreadableError):
                print(f"{engine}: {read}", file=sys.stderr)
                status = 2
                continue
            status = max(status, _compare(options, home, document, read))
    text = written(document)
    if status != 1 or not options.write or (path.exists() and path.read_text("utf-8") == text):
        return status
    refused = refused_renderings(engine, options.launch, text)
    if refused and not options.accept_loss:
        print(f"{engine}: not written: the new table refuses what launch renders", file=sys.stderr)
        print("\n".join(f"  {line}" for line in refused), file=sys.stderr)
        return 2
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
    print(f"{engine}: written: {path.name}")
    return 1


def _readings(
    options: argparse.Namespace, home: Path, engine: str, folder: Path
) -> list[Release | UnreadableError]:
    """What the newest releases accept, entry point by entry point."""
    programs = tomllib.loads((home / "entry_points.toml").read_text("utf-8"))
    gone = {each["name"] for each in programs["entry"] if "gone" in each}
    parsers = [each for each in programs.get("parser", []) if each["entry"] not in gone]
    if engine in options.source:
        return [*_references(options, engine, {each["name"] for each in programs["entry"]})]
    readings: list[Release | UnreadableError] = []
    version = ""
    for number, parser in enumerate(parsers):
        try:
            read = _release(options, home, parser, folder / str(number))
        except UnreadableError as error:
            readings.append(error)
            continue
        if parser.get("own_version"):  # a package of the engine that counts by itself
            read = Release(read.entry, version, read.source, read.extract)
        version = version or read.version
        readings.append(read)
    return readings


def _references(
    options: argparse.Namespace, engine: str, entries: set[str]
) -> list[Release | UnreadableError]:
    path = Path(options.source[engine])
    if not (options.commit and options.release):
        return [UnreadableError("name the release and the commit: --release VERSION --commit SHA")]
    source = f"{path.name} at {options.commit}, the CLI reference"
    extracts = from_reference(path.read_text("utf-8"))
    return [
        Release(entry, options.release, source, extract)
        for entry, extract in extracts.items()
        if entry in entries
    ]


def _release(options: argparse.Namespace, home: Path, parser: Record, folder: Path) -> Release:
    distribution = parser["distributions"][0]
    folder.mkdir()
    wheel = Path(options.wheel.get(distribution) or _fetch(distribution, folder))
    name, version = _unpack(wheel, folder / "unpacked")
    extract = None
    if not options.source_only:
        ask = home / "ask_parser.py"
        extract = from_parser(folder / "unpacked", options.python, ask, parser["entry"])
    extract = extract or from_source(folder / "unpacked", parser["sources"])
    if not extract.flags:
        raise UnreadableError(f"no flags of {parser['entry']} were found in {wheel.name}.")
    source = f"released wheel {name} {version}, {extract.how}"
    return Release(parser["entry"], version, source, extract)


def _fetch(distribution: str, folder: Path) -> Path:
    """The newest wheel, downloaded by the package client; candidates where there is no release."""
    base = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(
        [*base, "-d", str(folder), distribution], capture_output=True, check=False
    )
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode or wheel is None:
        newest = _newest(distribution)
        raise UnreadableError(
            f"{distribution} {newest} has no wheel here that can be read; give one by --wheel "
            f"{distribution}=FILE, or a CLI reference by --source."
        )
    return wheel


def _newest(distribution: str) -> str:
    """The newest version that the package client lists, candidates included."""
    command = [sys.executable, "-m", "pip", "index", "versions", "--pre", distribution]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    found = re.search(r"\((.+?)\)", done.stdout)
    return found[1] if found else "(no version known)"


def _unpack(wheel: Path, folder: Path) -> tuple[str, str]:
    """Unpack a wheel; returns its name and version."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    metadata = message_from_string(next(folder.glob("*.dist-info/METADATA")).read_text("utf-8"))
    return metadata["Name"], metadata["Version"]


def _compare(options: argparse.Namespace, home: Path, document: Record, read: Release) -> int:
    """Compare a release with the table it belongs to, and put it into the document."""
    having = [table for table in document["tables"] if read.entry in table["entries"]]
    table = next((t for t in document["tables"] if t["version"] == read.version), None)
    same = table is not None and read.entry in table["entries"]
    compared = table if same else having[-1] if having else None
    old = compared["entries"][read.entry] if compared else {"flags": []}
    flags = complete(read.extract, old["flags"], same_release=same)
    what = f"{home.name} {read.version}: {read.entry}"
    print(f"{what}: {len(flags)} flags, from {read.source}")
    lines = list(differences(old["flags"], flags))
    name = compared["version"] if compared else "no table"
    print(f"  compared with {name}: {len(lines)} differences")
    rows = [*touched_lines(lines, home / "profile.toml")]
    rows += touched_lines(lines, home / "history.toml")
    for line in [*lines, *rows]:
        print(f"  {line}")
    if same and not lines:
        return 0
    refusal = compared and why_not_written(old["flags"], flags, home, read.entry, same_release=same)
    if refusal and not options.accept_loss:
        print(f"{what}: refused: {refusal}", file=sys.stderr)
        return 2
    if table is None:
        table = {"version": read.version, "source": read.source, "entries": {}}
        document["tables"].append(table)
    elif not same:
        table["source"] += f"; {read.entry}: {read.source}"
    kept = {key: value for key, value in old.items() if key != "flags"}
    table["entries"][read.entry] = {
        "parser": read.extract.parser,
        **kept,
        "positionals": read.extract.positionals,
        "flags": flags,
    }
    return 1


if __name__ == "__main__":
    sys.exit(main())
