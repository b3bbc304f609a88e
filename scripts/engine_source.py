"""Reads an engine's flags from the source that declares them, without running it.

    files ─▸ declarations (constants, the fields of classes) ─▸ calls and fields that make flags

Three ways to declare a flag are read: a call of argparse or click, SGLang's annotated field, and
vLLM's keywords made from the fields of a class. What a value is made of at run time is not known
here; `Extract.uncertain` names it.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.engine_flags import SWITCHES, Extract, record

# vLLM reads these whole numbers in words, too (8k); the type of their fields is plain int.
_SIZES = {
    *("max_model_len", "max_num_batched_tokens", "max_num_scheduled_tokens"),
    *("kv_cache_memory_bytes", "safetensors_prefetch_block_size", "max_num_queued_tokens"),
}

_UNREAD = object()


@dataclass
class Declarations:
    """What the files declare.

    Attributes:
        constants: Values of names at the top of a file, and of `Class.field`.
        fields: The annotated fields of each class, with their names.
        bases: The names of the classes that each class derives from.
    """

    constants: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, dict[str, ast.AnnAssign]] = field(default_factory=dict)
    bases: dict[str, list[str]] = field(default_factory=dict)

    def read(self, tree: ast.Module) -> None:
        """Add what one file declares."""
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._keep(node.targets[0].id, node.value)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self._keep(node.target.id, node.value)
            elif isinstance(node, ast.ClassDef):
                own = [n for n in node.body if isinstance(n, ast.AnnAssign)]
                named = {n.target.id: n for n in own if isinstance(n.target, ast.Name)}
                self.fields[node.name] = named
                self.bases[node.name] = [name for base in node.bases if (name := name_of(base))]
                for name, declared in named.items():
                    self._keep(f"{node.name}.{name}", declared.value)

    def value(self, node: ast.expr | None, default: Any = None) -> Any:
        """What an expression is: a literal, or the name of a constant."""
        if node is None:
            return default
        if isinstance(node, ast.Name | ast.Attribute):
            return self.constants.get(ast.unparse(node), default)
        return literal(node, default=default)

    def is_unread(self, node: ast.expr | None) -> bool:
        """Whether there is a value that cannot be known without running the source."""
        return node is not None and self.value(node, default=_UNREAD) is _UNREAD

    def derived(self, name: str) -> Iterator[str]:
        """A class and those that derive from it."""
        yield name
        for other, bases in self.bases.items():
            if name in bases:
                yield from self.derived(other)

    def _keep(self, name: str, node: ast.expr | None) -> None:
        value = literal(node, default=_UNREAD)
        if value is not _UNREAD:
            self.constants[name] = value


def from_source(folder: Path, patterns: list[str]) -> Extract:
    """The flags that the source declares, as far as it can be read without running it."""
    paths = sorted({found for pattern in patterns for found in folder.glob(pattern)})
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    reader = _Reader()
    for tree in trees:
        reader.declared.read(tree)
    for path, tree in zip(paths, trees, strict=True):
        reader.read(tree)
        text = path.read_text(encoding="utf-8")
        if re.search(r"argparse|FlexibleArgumentParser", text) and not reader.extract.has("--help"):
            help_flag = {"names": ["-h", "--help"], "nargs": 0, "help": True}
            reader.extract.flags.append(help_flag)
    return reader.extract


class _Reader:
    def __init__(self) -> None:
        self.declared = Declarations()
        self.extract = Extract("the source")

    def read(self, tree: ast.Module) -> None:
        """The flags that one file makes."""
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign):
                self._field(node)
            elif isinstance(node, ast.FunctionDef):
                self._function(node)
            elif isinstance(node, ast.ClassDef):
                self._loops(node)
        for node in tree.body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                self._call(node.value, {})

    def _function(self, function: ast.FunctionDef) -> None:
        """The calls in a function, and in its decorators; names stand for classes in it."""
        made_of = {
            node.targets[0].id: name_of(node.value.args[0]) or ""
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Call)
            and (name_of(node.value.func) or "").endswith("get_kwargs")
            and node.value.args
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                self._call(node, made_of)

    def _loops(self, node: ast.ClassDef) -> None:
        """A class whose method makes one flag of each field: `f"--{key.replace('_', '-')}"`."""
        calls = (part for part in ast.walk(node) if isinstance(part, ast.Call))
        if not any(_called(call) == "add_argument" and _is_of_each_field(call) for call in calls):
            return
        for owner in self.declared.derived(node.name):
            for name, declared in self.declared.fields.get(owner, {}).items():
                self._of_field([f"--{name.replace('_', '-')}"], name, declared)

    def _call(self, call: ast.Call, made_of: dict[str, str]) -> None:
        options = {key.arg: key.value for key in call.keywords if key.arg}
        named = text_of(options["flag_name"]) if "flag_name" in options else None
        called = _called(call)
        if called not in {"add_argument", "option", "argument"} and named is None:
            return
        if called == "option":
            self.extract.parser = "click"
        if _is_of_each_field(call):
            return
        words = [word for word in map(text_of, call.args) if word is not None]
        names = [word for word in words if word.startswith("-")] + ([named] if named else [])
        if not names:
            self._positional(words, options, always=called == "add_argument")
            return
        keywords = next((key.value for key in call.keywords if key.arg is None), None)
        declared = self._declared_by(keywords, made_of)
        if declared is not None:
            self._of_field(names, *declared)
            return
        self._flag(names, options, both="negatable" in called)
        if keywords is not None:  # made elsewhere
            unread = {"nargs", "type", "choices", "default", "required", "deprecated", "off"}
            self.extract.uncertain[names[0]] |= unread

    def _positional(self, words: list[str], options: dict[str, ast.expr], *, always: bool) -> None:
        if words and (words[0].isidentifier()):
            needed = literal(options.get("required"), default=always)
            optional = literal(options.get("nargs")) == "?"
            positional = {"name": words[0], "required": needed and not optional}
            if positional not in self.extract.positionals:
                self.extract.positionals.append(positional)

    def _declared_by(
        self, keywords: ast.expr | None, made_of: dict[str, str]
    ) -> tuple[str, ast.AnnAssign] | None:
        """The field that `**kwargs["field"]` is made of."""
        if not (isinstance(keywords, ast.Subscript) and isinstance(keywords.value, ast.Name)):
            return None
        owner, name = made_of.get(keywords.value.id, ""), literal(keywords.slice)
        declared = self.declared.fields.get(owner, {}).get(str(name))
        return None if declared is None else (str(name), declared)

    def _flag(self, names: list[str], options: dict[str, ast.expr], *, both: bool) -> None:
        # click lists `--yes/--no` as one word
        off = [name.split("/")[1] for name in names if "/" in name]
        names = [part for name in names for part in name.split("/")]
        action = name_of(options.get("action")) or "store"
        switch = action in SWITCHES or "StoreTrue" in action
        if action.endswith("BooleanOptionalAction") or both:
            switch, off = True, [f"--no-{name.removeprefix('--')}" for name in names]
            names = names + off
        switch = switch or literal(options.get("is_flag")) is True or bool(off)
        value = self.declared.value
        raw = {
            "names": names,
            "off": off,
            "takes_value": not switch,
            "nargs": 0 if switch else value(options.get("nargs")),
            "type": name_of(options.get("type", options.get("arg_type"))),
            "choices": value(options.get("choices")) or _click_choices(options.get("type")),
            "required": literal(options.get("required")) is True,
            "deprecated": "Deprecated" in action or _is_deprecated(options),
            "action": "multiple" if literal(options.get("multiple")) is True else action,
            "default": value(options.get("default")),
            "dest": literal(options.get("dest")),
        }
        self._add(raw)
        keys = ("choices", "default", "nargs")
        unread = {key for key in keys if self.declared.is_unread(options.get(key))}
        # A parser of the engine's own may call the name that says no otherwise.
        self.extract.uncertain[names[0]] = unread | ({"off", "deprecated"} if off else set())

    def _of_field(self, names: list[str], name: str, declared: ast.AnnAssign) -> None:
        """A flag made of a class's field, as in vLLM; how a list is read is not known here."""
        kinds = {kind.strip() for kind in ast.unparse(declared.annotation).split("|")}
        switch = "bool" in kinds and "str" not in kinds
        off = [_opposite(each) for each in names if each.startswith("--")] if switch else []
        plain = next((kind for kind in ("int", "float", "str") if kind in kinds), None)
        raw = {
            "names": [*names, *off],
            "off": off,
            "takes_value": not switch,
            "nargs": 0 if switch else None,
            "type": "human_readable_int" if plain == "int" and name in _SIZES else plain,
            "default": self.declared.value(declared.value),
        }
        self._add(raw)
        unread = {"choices", "required", "deprecated", "default", "off", "repeatable"}
        self.extract.uncertain[names[0]] = unread | (set() if switch else {"nargs", "type"})

    def _field(self, node: ast.AnnAssign) -> None:
        """SGLang's `name: A[type, Arg(…)] = default`, from which its parser is derived."""
        annotation = node.annotation
        if not (isinstance(annotation, ast.Subscript) and name_of(annotation.value) == "A"):
            return
        if not (isinstance(node.target, ast.Name) and isinstance(annotation.slice, ast.Tuple)):
            return
        kind = re.sub(r"^Optional\[(.*)\]$", r"\1", ast.unparse(annotation.slice.elts[0]))
        options_of = annotation.slice.elts[1:]
        calls = [part for part in options_of if isinstance(part, ast.Call)]
        options = {key.arg: key.value for call in calls for key in call.keywords if key.arg}
        words = [part for part in options_of if text_of(part) is not None]
        if words:
            options["help"] = words[0]
        if literal(options.get("no_cli")) is True:
            return
        name = literal(options.get("cli_name")) or f"--{node.target.id.replace('_', '-')}"
        parser = name_of(options.get("type_parser"))
        element = re.fullmatch(r"List\[(\w+)\]", kind)
        options_given = re.fullmatch(r"Literal(\[.*\])", kind)
        values = self.declared.value(options.get("choices")) or (
            options_given and ast.literal_eval(options_given[1])
        )
        both = name_of(options.get("action")) == "BooleanOptionalAction"
        off = [f"--no-{str(name).removeprefix('--')}"] if both else []
        plain = element[1] if element else type(values[0]).__name__ if values else kind
        raw = {
            "names": [name, *(literal(options.get("aliases")) or []), *off],
            "off": off,
            "takes_value": kind != "bool",
            "nargs": literal(options.get("nargs")) or ("+" if element and not parser else None),
            "type": parser or plain,
            "choices": values,
            "required": node.value is None,
            "deprecated": _is_deprecated(options),
            "default": self.declared.value(node.value),
            "action": name_of(options.get("action")),
            "dest": node.target.id,
        }
        self._add(raw)
        keys = ("choices", "nargs", "help")
        unread = {key for key in keys if self.declared.is_unread(options.get(key))}
        unread |= {"deprecated"} if "deprecated" in ast.unparse(annotation).lower() else set()
        if self.declared.is_unread(node.value):
            unread.add("default")
        if ("action" in options and not both) or parser:
            unread |= {"nargs", "type", "off"}
        self.extract.uncertain[str(name)] = unread

    def _add(self, raw: dict[str, Any]) -> None:
        """Keep a flag; a function within a function is walked twice."""
        flag = record(raw)
        if not self.extract.has(flag["names"][0]):
            self.extract.flags.append(flag)


def _called(call: ast.Call) -> str:
    """The last part of the name that is called."""
    return name_of(call.func) or ""


def _is_of_each_field(call: ast.Call) -> bool:
    """Whether the flag's name is made of a loop's key."""
    return any(
        isinstance(part, ast.FormattedValue) and ".replace(" in ast.unparse(part.value)
        for argument in call.args
        if isinstance(argument, ast.JoinedStr)
        for part in argument.values
    )


def _opposite(name: str) -> str:
    """How vLLM calls the flag that switches another off."""
    pairs = (("--enable-", "--disable-"), ("--disable-", "--enable-"))
    for begin, other in pairs:
        if name.startswith(begin):
            return other + name.removeprefix(begin)
    return f"--no-{name.removeprefix('--')}"


def _is_deprecated(options: dict[str, ast.expr]) -> bool:
    words = text_of(options["help"]) if "help" in options else None
    return literal(options.get("deprecated")) is True or bool(
        re.match(r"\W*deprecated", words or "", re.IGNORECASE)
    )


def text_of(node: ast.expr) -> str | None:
    """A string; a prefix that is filled in (`f"--{prefix}port"`) counts as empty."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) for v in node.values if isinstance(v, ast.Constant))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def literal(node: ast.expr | None, default: Any = None) -> Any:
    """The value of a literal."""
    try:
        return default if node is None else ast.literal_eval(node)
    except (ValueError, TypeError):
        return default


def name_of(node: ast.expr | None) -> str | None:
    """The last part of a name, or the text of a constant."""
    if node is None:
        return None
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node).split(".")[-1]


def _click_choices(node: ast.expr | None) -> list[str] | None:
    """The values of click's `type=click.Choice([…])`."""
    if isinstance(node, ast.Call) and name_of(node.func) == "Choice" and node.args:
        values = literal(node.args[0])
        return None if values is None else [str(value) for value in values]
    return None
