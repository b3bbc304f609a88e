"""Reads an engine's flags: from its own parser, or from the source that declares them.

For `refresh_engine_flags.py`; the answer is in the form of `k2compat/launch/engines/*/flags.json`.
"""

import ast
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

    `uncertain` names, for each flag, what the source does not tell.
    """

    how: str
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
    extract = Extract("the parser")
    for raw in raws:
        if raw["names"]:
            extract.flags.append(record(raw))
        else:
            needed = raw["required"] and raw["nargs"] != "?"
            extract.positionals.append({"name": raw["positional"], "required": bool(needed)})
    return extract


def from_source(folder: Path, patterns: list[str]) -> Extract:
    """The flags that the source declares, as far as it can be read without running it."""
    extract = Extract("the source")
    for path in sorted({found for pattern in patterns for found in folder.glob(pattern)}):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                _read_call(node, extract)
            elif isinstance(node, ast.AnnAssign):
                _read_field(node, extract)
        if "argparse" in path.read_text(encoding="utf-8") and not extract.has("--help"):
            extract.flags.append({"names": ["-h", "--help"], "nargs": 0, "help": True})
    return extract


def _read_call(call: ast.Call, extract: Extract) -> None:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if called not in {"add_argument", "option", "argument"}:
        return
    words = [word for word in map(_text, call.args) if word is not None]
    names = [word for word in words if word.startswith("-")]
    options = {key.arg: key.value for key in call.keywords if key.arg}
    if not names:
        if words:
            needed = _literal(options.get("required"), default=called == "add_argument")
            optional = _literal(options.get("nargs")) == "?"
            extract.positionals.append({"name": words[0], "required": needed and not optional})
        return
    # click lists `--yes/--no` as one word
    off = [name.split("/")[1] for name in names if "/" in name]
    names = [part for name in names for part in name.split("/")]
    action = _name(options.get("action")) or "store"
    switch = action in SWITCHES or "StoreTrue" in action
    if action.endswith("BooleanOptionalAction"):
        switch, off = True, [f"--no-{name.removeprefix('--')}" for name in names]
        names += off
    switch = switch or _literal(options.get("is_flag")) is True or bool(off)
    raw = {
        "names": names,
        "off": off,
        "takes_value": not switch,
        "nargs": 0 if switch else _literal(options.get("nargs")),
        "type": _name(options.get("type")),
        "choices": _literal(options.get("choices")) or _choices(options.get("type")),
        "required": _literal(options.get("required")) is True,
        "deprecated": "Deprecated" in action or _is_deprecated(options),
        "action": "multiple" if _literal(options.get("multiple")) is True else action,
        "default": _literal(options.get("default")),
        "dest": _literal(options.get("dest")),
    }
    extract.flags.append(record(raw))
    unread = {key for key in ("choices", "default", "nargs") if _is_unread(options.get(key))}
    if any(key.arg is None for key in call.keywords):  # **options made elsewhere
        unread |= {"nargs", "type", "choices", "default", "required", "deprecated", "off"}
    extract.uncertain[names[0]] = unread


def _read_field(node: ast.AnnAssign, extract: Extract) -> None:
    """SGLang's `name: A[type, Arg(…)] = default`, from which its parser is derived."""
    annotation = node.annotation
    if not (isinstance(annotation, ast.Subscript) and _name(annotation.value) == "A"):
        return
    if not (isinstance(node.target, ast.Name) and isinstance(annotation.slice, ast.Tuple)):
        return
    kind = re.sub(r"^Optional\[(.*)\]$", r"\1", ast.unparse(annotation.slice.elts[0]))
    options_of = annotation.slice.elts[1:]
    calls = [part for part in options_of if isinstance(part, ast.Call)]
    options = {key.arg: key.value for call in calls for key in call.keywords if key.arg}
    words = [part for part in options_of if _text(part) is not None]
    if words:
        options["help"] = words[0]
    if _literal(options.get("no_cli")) is True:
        return
    name = _literal(options.get("cli_name")) or f"--{node.target.id.replace('_', '-')}"
    parser = _name(options.get("type_parser"))
    element = re.fullmatch(r"List\[(\w+)\]", kind)
    literal = re.fullmatch(r"Literal(\[.*\])", kind)
    values = _literal(options.get("choices")) or (literal and ast.literal_eval(literal[1]))
    both = _name(options.get("action")) == "BooleanOptionalAction"
    off = [f"--no-{str(name).removeprefix('--')}"] if both else []
    raw = {
        "names": [name, *(_literal(options.get("aliases")) or []), *off],
        "off": off,
        "takes_value": kind != "bool",
        "nargs": _literal(options.get("nargs")) or ("+" if element and not parser else None),
        "type": parser or (element[1] if element else type(values[0]).__name__ if values else kind),
        "choices": values,
        "required": node.value is None,
        "deprecated": _is_deprecated(options),
        "default": _literal(node.value),
        "action": _name(options.get("action")),
        "dest": node.target.id,
    }
    extract.flags.append(record(raw))
    unread = {key for key in ("choices", "nargs", "help") if _is_unread(options.get(key))}
    unread |= {"deprecated"} if "deprecated" in ast.unparse(annotation).lower() else set()
    if _is_unread(node.value):
        unread.add("default")
    if ("action" in options and not both) or parser:
        unread |= {"nargs", "type", "off"}
    extract.uncertain[str(name)] = unread


def _is_unread(node: ast.expr | None) -> bool:
    """Whether there is a value that cannot be read without running the source."""
    unread = object()
    return node is not None and _literal(node, default=unread) is unread


def _is_deprecated(options: dict[str, ast.expr]) -> bool:
    words = _text(options["help"]) if "help" in options else None
    return _literal(options.get("deprecated")) is True or bool(
        re.match(r"\W*deprecated", words or "", re.IGNORECASE)
    )


def _text(node: ast.expr) -> str | None:
    """A string; a prefix that is filled in (`f"--{prefix}port"`) counts as empty."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) for v in node.values if isinstance(v, ast.Constant))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _literal(node: ast.expr | None, default: Any = None) -> Any:
    try:
        return default if node is None else ast.literal_eval(node)
    except (ValueError, TypeError):
        return default


def _name(node: ast.expr | None) -> str | None:
    if node is None:
        return None
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node).split(".")[-1]


def _choices(node: ast.expr | None) -> list[str] | None:
    """The values of click's `type=click.Choice([…])`."""
    if isinstance(node, ast.Call) and _name(node.func) == "Choice" and node.args:
        values = _literal(node.args[0])
        return None if values is None else [str(value) for value in values]
    return None
