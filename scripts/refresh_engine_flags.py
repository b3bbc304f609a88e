r"""Renews an engine's table of flags from a released wheel, and says what that changes.

python scripts/refresh_engine_flags.py sglang sglang_router.launch_router \
    --package sglang-router==0.3.2 --version 0.5.23
python scripts/refresh_engine_flags.py ktransformers "kt run" --wheel kt_kernel-0.7.2-….whl --write
    --python PYTHON   an interpreter with the wheel's dependencies, so that the real parser can run
    --version V       the engine's version the table is for; the wheel's own otherwise
    --source-only     do not try the real parser
    --accept-loss     write although flags were lost, after you have looked at each

The flags come from the engine's own parser where it can be imported, otherwise from its source:
argparse and click calls, and SGLang's annotated fields. What a source does not declare (arguments
made from dictionaries) is taken over from the table that is there, and counted. Where an engine has
no table yet, an empty one is made.

A reading that lost flags is not written: where the launch profile uses a lost flag, or where more
than 2 % of the table's flags are lost that the history does not name as gone. The source reader
misses flags that are made from dataclass fields, about 100 of vLLM's.

Exit status: 0 the table is as the wheel has it; 1 it differs (with --write it was written); 2 flags
were lost, and nothing was written.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from difflib import get_close_matches
from email import message_from_string
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, not as a module

from scripts.engine_flags import Extract, Record, from_parser, from_source

LAUNCH = Path(__file__).parents[1] / "k2compat" / "launch"

LOSS_MAX = 0.02
"""The share of a table's flags that a release may lose without a line in the history."""


def by_name(flags: list[Record]) -> dict[str, Record]:
    """Each spelling of each flag."""
    return {name: flag for flag in flags for name in flag["names"]}


def differences(old: list[Record], new: list[Record]) -> Iterator[str]:
    """What the new flags have that the old ones had not, a line each."""
    before, after = by_name(old), by_name(new)
    added = [name for name in after if name not in before]
    for name in before:
        if name not in after:
            alike = [n for n in added if after[n].get("nargs") == before[name].get("nargs")]
            near = get_close_matches(name, alike, n=1, cutoff=0.75)
            yield f"removed {name}" + (f" (perhaps renamed {near[0]})" if near else "")
    yield from (f"added {name}" for name in added)
    for name, flag in before.items():
        now = after.get(name, flag)
        for key in sorted({*flag, *now} - {"names", "off"}):
            if _comparable(flag.get(key)) != _comparable(now.get(key)):
                yield f"changed {name}: {key} was {flag.get(key)!r}, is {now.get(key)!r}"


def _comparable(value: Any) -> Any:
    """Choices come from sets too, whose order means nothing."""
    return sorted(map(str, value)) if isinstance(value, list) else value


def touched_rows(lines: list[str], profile: Path) -> Iterator[str]:
    """The rows of an engine's launch profile that name a flag which is gone or changed."""
    names = {re.split(r"[\s:]", line)[1] for line in lines if not line.startswith("added")}
    rows = profile.read_text(encoding="utf-8").splitlines() if profile.exists() else []
    for number, row in enumerate(rows, 1):
        for name in sorted(names):
            if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", row):
                yield f"{profile.name}:{number}: {name}"


def written(document: Record) -> str:
    """A table file's text: one flag a line."""
    lines = ["{", f'  "engine": {json.dumps(document["engine"])},', '  "tables": [']
    tables = []
    for table in document["tables"]:
        head = [
            f"      {json.dumps(k)}: {json.dumps(v)}," for k, v in table.items() if k != "entries"
        ]
        entries = []
        for name, entry in table["entries"].items():
            keys = [
                f"          {json.dumps(k)}: {json.dumps(v)},"
                for k, v in entry.items()
                if k != "flags"
            ]
            flags = ",\n".join(f"            {json.dumps(flag)}" for flag in entry["flags"])
            body = "\n".join([*keys, f'          "flags": [\n{flags}\n          ]'])
            entries.append(f"        {json.dumps(name)}: {{\n{body}\n        }}")
        joined = ",\n".join(entries)
        tables.append(
            "\n".join(["    {", *head, f'      "entries": {{\n{joined}\n      }}\n    }}'])
        )
    return "\n".join([*lines, ",\n".join(tables), "  ]", "}"]) + "\n"


def fetch(package: str, folder: Path) -> Path:
    """The wheel of `NAME==VERSION`, downloaded by the package client."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "-d",
        str(folder),
        package,
    ]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def unpack(wheel: Path, folder: Path) -> tuple[str, str]:
    """Unpack a wheel; returns its name and version."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    metadata = message_from_string(next(folder.glob("*.dist-info/METADATA")).read_text("utf-8"))
    return metadata["Name"], metadata["Version"]


def complete(extract: Extract, known: list[Record]) -> list[Record]:
    """The flags, what the source does not tell as the table has it."""
    table = by_name(known)
    flags: list[Record] = []
    for flag in extract.flags:
        name = flag["names"][0]
        unread = extract.uncertain.get(name, set())
        told = {key: value for key, value in flag.items() if key not in unread}
        flags.append(told | {k: v for k, v in table.get(name, {}).items() if k in unread})
    return flags


def main(arguments: list[str] | None = None) -> int:
    """Read the wheel, compare, report, and write where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("engine")
    parser.add_argument("entry")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--wheel", type=Path)
    source.add_argument("--package", metavar="NAME==VERSION")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--version")
    parser.add_argument("--source-only", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--accept-loss", action="store_true")
    parser.add_argument("--launch", type=Path, default=LAUNCH, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        wheel = options.wheel or fetch(options.package, Path(folder))
        return refresh(options, wheel, Path(folder) / "unpacked")


def refresh(options: argparse.Namespace, wheel: Path, folder: Path) -> int:
    """Compare a wheel with the table it belongs to."""
    name, version = unpack(wheel, folder)
    home = options.launch / "engines" / options.engine
    extract = read_flags(options, home, folder)
    path = home / "flags.json"
    document = read_document(path, options.engine)
    wanted = options.version or version
    table = next((t for t in document["tables"] if t["version"] == wanted), None)
    compared = table or (document["tables"] or [{"version": "(no table)", "entries": {}}])[-1]
    old_entry = compared["entries"].get(options.entry, {"flags": []})
    flags = complete(extract, old_entry["flags"])
    print(f"{name} {version}: {len(flags)} flags of {options.entry}, read from {extract.how}")
    if unread := [name for name, keys in extract.uncertain.items() if keys]:
        print(f"{len(unread)} of them are declared in part; the rest is the table's")
    lines = list(differences(old_entry["flags"], flags))
    print(f"compared with {options.engine} {compared['version']}: {len(lines)} differences")
    for line in lines + [
        f"profile row {row}" for row in touched_rows(lines, home / "profile.toml")
    ]:
        print(f"  {line}")
    if not options.write or not (lines or table is None):
        return 1 if lines else 0
    refusal = why_not_written(old_entry["flags"], flags, home, options.entry)
    if refusal and not options.accept_loss:
        print(f"not written: {refusal}", file=sys.stderr)
        return 2
    if table is None:
        source = f"released wheel {name} {version}, {extract.how}"
        table = {"version": wanted, "source": source, "entries": {}}
        document["tables"].append(table)
    kept = {k: v for k, v in old_entry.items() if k != "flags"}
    table["entries"][options.entry] = {
        "parser": "argparse",
        **kept,
        "positionals": extract.positionals,
        "flags": flags,
    }
    path.write_text(written(document), encoding="utf-8")
    print(f"written: {path.name}")
    return 1 if lines else 0


def read_flags(options: argparse.Namespace, home: Path, folder: Path) -> Extract:
    """The flags of an entry point: from its parser, or else from the source."""
    programs = tomllib.loads((home / "entry_points.toml").read_text("utf-8"))
    parser = next(each for each in programs["parser"] if each["entry"] == options.entry)
    extract = None
    if not options.source_only:
        extract = from_parser(folder, options.python, home / "ask_parser.py", options.entry)
    return extract or from_source(folder, parser["sources"])


def read_document(path: Path, engine: str) -> Record:
    """The tables of an engine; without any where it has none yet."""
    if not path.exists():
        return {"engine": engine, "tables": []}
    document: Record = json.loads(path.read_text("utf-8"))
    return document


def why_not_written(old: list[Record], new: list[Record], home: Path, entry: str) -> str:
    """Why a reading is not to be trusted; "" where it is.

    Args:
        old: The flags of the table that it is compared with.
        new: The flags that were read.
        home: The engine's folder.
        entry: The entry point.
    """
    gone = named_as_gone(home / "history.toml", entry)
    names = by_name(new)
    lost = [flag for flag in old if not any(name in names for name in flag["names"])]
    unexplained = [flag["names"][0] for flag in lost if gone.isdisjoint(flag["names"])]
    used = [
        row
        for flag in lost
        for row in touched_rows(
            [f"removed {name}" for name in flag["names"]], home / "profile.toml"
        )
        if gone.isdisjoint(flag["names"])
    ]
    if used:
        return f"the launch profile uses flags that are lost ({'; '.join(used)})."
    if len(unexplained) > LOSS_MAX * len(old):
        shown = ", ".join(unexplained[:5]) + (" …" if len(unexplained) > 5 else "")
        return (
            f"{len(unexplained)} of {len(old)} flags are lost, and the history names none of them "
            f"as gone ({shown})."
        )
    return ""


def named_as_gone(history: Path, entry: str) -> set[str]:
    """The flags of an entry point that the history names as gone, at any version."""
    changes = tomllib.loads(history.read_text("utf-8"))["change"] if history.exists() else []
    kinds = {"renamed", "replaced", "removed"}
    return {
        change["flag"] for change in changes if change["entry"] == entry and change["kind"] in kinds
    }


if __name__ == "__main__":
    sys.exit(main())
