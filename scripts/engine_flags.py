"""Reads an engine's flags from its own parser, or from the reference of its command line.

For `refresh_engines.py`; the answer is in the form of `k2compat/launch/engines/*/flags.json`. What
cannot be imported is read by `engine_source.py`.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Record = dict[str, Any]

# Types whose values look alike, under the tables' names for them.
TYPES = {
    "int": "int",
    "float": "float",
    "human_readable_int": "size",
    "loads": "json",
    "json_list_type": "json",
    "parse_dataclass": "json object",
    "bool": "bool",
    "integer": "int",
}

SWITCHES = {"store_true", "store_false", "store_const", "count", "help", "version"}

# Runs where the engine can be imported.
DUMP = Path(__file__).with_name("dump_parser.py")


@dataclass
class Extract:
    """What was read from a wheel: the flags, the arguments without names, and how.

    `parser` is what reads the command line, argparse or click; `uncertain` names, for each flag,
    what cannot be read.
    """

    how: str
    parser: str = "argparse"
    flags: list[Record] = field(default_factory=list)
    positionals: list[Record] = field(default_factory=list)
    uncertain: dict[str, set[str]] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether a flag of that name was read."""
        return any(name in flag["names"] for flag in self.flags)


def record(raw: Record) -> Record:
    """A flag as the tables write it; what is usual is left out."""
    names = list(raw["names"])
    out: Record = {"names": names}
    nargs = raw.get("nargs")
    if not raw["takes_value"] or nargs == 0:
        out["nargs"] = 0
        if off := raw.get("off") or _names_saying_no(names, str(raw.get("dest"))):
            out["off"] = off
    elif nargs not in (None, 1):
        out["nargs"] = nargs
    kind = TYPES.get(str(raw.get("type")))
    if kind and out.get("nargs") != 0:
        out["type"] = kind
    if raw.get("choices") and out.get("nargs") != 0:
        out["choices"] = list(raw["choices"])
    out |= {key: True for key in ("required", "deprecated") if raw.get(key)}
    action = str(raw.get("action"))
    if "Append" in action or action in {"append", "multiple"}:
        out["repeatable"] = True
    if _is_shown(raw.get("default")):
        out["default"] = raw["default"]
    if "--help" in names:
        out.pop("default", None)
        out["help"] = True
    return out


def _names_saying_no(names: list[str], dest: str) -> list[str]:
    off = [name for name in names if name.startswith(("--no-", "--no_"))]
    yes = [name for name in names if name.startswith("--enable-")]
    no = [name for name in names if name.startswith("--disable-")]
    if off or not (yes and no):
        return off
    return no if dest.startswith("enable") else yes


def _is_shown(default: Any) -> bool:
    """Whether a default is a number or a short text."""
    if isinstance(default, bool):
        return False
    if isinstance(default, str):
        return re.fullmatch(r"(?!==|self\.)[^({]{1,39}", default) is not None
    return isinstance(default, int | float)


def from_parser(folder: Path, python: str, ask_parser: Path, entry: str) -> Extract | None:
    """The flags of the real parser; None where it cannot be imported.

    Args:
        folder: The unpacked wheel.
        python: An interpreter with the wheel's dependencies.
        ask_parser: The engine's `ask_parser.py`.
        entry: The entry point.
    """
    question = {"folder": str(folder), "file": str(ask_parser), "entry": entry}
    done = subprocess.run(
        [python, str(DUMP)],
        input=json.dumps(question).encode(),
        capture_output=True,
        check=False,
        timeout=600,
    )
    try:
        raws: list[Record] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        print(f"the parser cannot be imported: {' '.join(last)}", file=sys.stderr)
        return None
    is_click = any(raw["action"] in ("click", "multiple") for raw in raws)
    extract = Extract("the parser", "click" if is_click else "argparse")
    for raw in raws:
        if raw["names"]:
            extract.flags.append(record(raw))
        else:
            needed = raw["required"] and raw["nargs"] != "?"
            extract.positionals.append({"name": raw["positional"], "required": bool(needed)})
    return extract


def from_reference(text: str) -> dict[str, Extract]:
    """The flags of each command in TensorRT-LLM's CLI reference.

    Args:
        text: YAML: `commands`, their `options`, each with flags, type, default, status, required,
            multiple and is_flag. The reference has no arguments without names.
    """
    found: dict[str, Extract] = {}
    for command, content in yaml.safe_load(text)["commands"].items():
        extract = found[command] = Extract("the CLI reference", "click")
        for option in content["options"].values():
            choices = re.fullmatch(r"Choice\((\[.*\])\)", str(option["type"]))
            names = [str(name) for name in option["flags"]]
            raw = {
                "names": [*(n for n in names if not n.startswith("--no-")), *_noes(names)],
                "off": _noes(names),
                "takes_value": not option["is_flag"],
                "type": option["type"],
                "choices": yaml.safe_load(choices[1]) if choices else None,
                "required": option["required"],
                "deprecated": option["status"] == "deprecated",
                "action": "multiple" if option["multiple"] else "click",
                "default": option["default"],
            }
            extract.flags.append(record(raw))
    return found


def _noes(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("--no-")]
