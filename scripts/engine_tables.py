"""Tables of flags as `k2compat/launch/engines/*/flags.json` holds them: compared, judged, written.

For `refresh_engines.py`.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from scripts.engine_flags import Extract, Record

LOSS_MAX = 0.02
"""The share of a table's flags that a reading may lose without a line in the history.

For the release that the table describes already, the share that it may add, too: one release has
one set of flags.
"""


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


def complete(extract: Extract, known: list[Record], *, same_release: bool = False) -> list[Record]:
    """The flags that were read; what the source does not contain is taken from the table.

    Args:
        extract: The reading.
        known: The flags of the table.
        same_release: Whether the table describes the release that was read. A source then adds
            nothing to what the table has of a flag: every difference is made by the reading.

    Returns:
        The flags in the table's order, new ones last.
    """
    table = by_name(known)
    trusts_table = same_release and extract.how == "the source"
    flags: list[Record] = []
    for flag in extract.flags:
        there = next((table[name] for name in flag["names"] if name in table), {})
        unread = extract.uncertain.get(flag["names"][0], set())
        if not there or trusts_table:
            flags.append(there or flag)
            continue
        read = {key: value for key, value in flag.items() if key not in unread}
        if "off" in unread:
            shown = [name for name in flag["names"] if name not in flag.get("off", [])]
            off = [name for name in there.get("off", []) if name not in shown]
            read["names"] = [*shown, *off]
            read |= {"off": off} if off else {}
        merged = read | {k: v for k, v in there.items() if k in unread and k != "off"}
        if set(merged["names"]) == set(there.get("names", ())):
            merged["names"] = there["names"]
        flags.append(merged)
    order = {name: place for place, flag in enumerate(known) for name in flag["names"]}
    return sorted(flags, key=lambda flag: min(order.get(n, len(order)) for n in flag["names"]))


def touched_lines(lines: list[str], path: Path) -> Iterator[str]:
    """The lines of an engine's file (profile, history) that name a flag which is gone or changed.

    Args:
        lines: What `differences` gives.
        path: The file; it may be absent.
    """
    names = {re.split(r"[\s:]", line)[1] for line in lines if not line.startswith("added")}
    rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, row in enumerate(rows, 1):
        for name in sorted(names):
            if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", row):
                yield f"{path.name}:{number}: {name}"


def why_not_written(
    old: list[Record], new: list[Record], home: Path, entry: str, *, same_release: bool = False
) -> str:
    """Why a reading is not to be trusted; "" where it is.

    Args:
        old: The flags of the table that it is compared with.
        new: The flags that were read.
        home: The engine's folder.
        entry: The entry point.
        same_release: Whether the table describes the release that was read.
    """
    gone = named_as_gone(home / "history.toml", entry)
    names, before = by_name(new), by_name(old)
    lost = [flag for flag in old if not any(name in names for name in flag["names"])]
    unexplained = [flag["names"][0] for flag in lost if gone.isdisjoint(flag["names"])]
    used = [
        row
        for flag in lost
        for row in touched_lines(
            [f"removed {name}" for name in flag["names"]], home / "profile.toml"
        )
        if gone.isdisjoint(flag["names"])
    ]
    if used:
        return f"the launch profile uses flags that are lost ({'; '.join(used)})."
    if len(unexplained) > LOSS_MAX * len(old):
        return (
            f"{len(unexplained)} of {len(old)} flags are lost, and the history names none of them "
            f"as gone ({_first(unexplained)})."
        )
    more = [flag["names"][0] for flag in new if not any(n in before for n in flag["names"])]
    if same_release and len(more) > LOSS_MAX * len(new):
        return (
            f"the table of this release lacks {len(more)} of its {len(new)} flags "
            f"({_first(more)}): one of the two readings is wrong."
        )
    return ""


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def named_as_gone(history: Path, entry: str) -> set[str]:
    """The flags of an entry point that the history names as gone, at any version."""
    changes = tomllib.loads(history.read_text("utf-8"))["change"] if history.exists() else []
    kinds = {"renamed", "replaced", "removed"}
    return {
        change["flag"] for change in changes if change["entry"] == entry and change["kind"] in kinds
    }


def read_document(path: Path, engine: str) -> Record:
    """The tables of an engine; without any where it has none yet."""
    if not path.exists():
        return {"engine": engine, "tables": []}
    document: Record = json.loads(path.read_text("utf-8"))
    return document


def written(document: Record) -> str:
    """A table file's text: one flag a line."""
    lines = ["{", f'  "engine": {json.dumps(document["engine"])},', '  "tables": [']
    tables = []
    for table in document["tables"]:
        head = [
            f"      {json.dumps(k)}: {json.dumps(v)}," for k, v in table.items() if k != "entries"
        ]
        entries = [_entry(name, entry) for name, entry in table["entries"].items()]
        joined = ",\n".join(entries)
        tables.append(
            "\n".join(["    {", *head, f'      "entries": {{\n{joined}\n      }}\n    }}'])
        )
    return "\n".join([*lines, ",\n".join(tables), "  ]", "}"]) + "\n"


def _entry(name: str, entry: Record) -> str:
    keys = [
        f"          {json.dumps(k)}: {json.dumps(v)}," for k, v in entry.items() if k != "flags"
    ]
    flags = ",\n".join(f"            {json.dumps(flag)}" for flag in entry["flags"])
    body = "\n".join([*keys, f'          "flags": [\n{flags}\n          ]'])
    return f"        {json.dumps(name)}: {{\n{body}\n        }}"
