"""The Python files that a config's auto_map loads, and those of them that are missing.

The files are read, never run.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from k2compat.checkpoint.sources import FileRefusedError, Source
from k2compat.findings import Codes, Finding
from k2compat.printable import shortened

MODULE_BYTES_MAX: Final = 4 << 20
"""modeling_deepseek.py has 80,000."""

MODULES_MAX: Final = 200

_codes = Codes("checkpoint")

# Transformers looks for the same lines (dynamic_module_utils.get_relative_imports, 5.23), those
# in docstrings and `try` blocks included, and does not load a module without the named files.
_RELATIVE_IMPORTS: Final = re.compile(
    r"^[ \t]*(?:from[ \t]+\.(\S+)[ \t]+import|import[ \t]+\.(\S+)[ \t]*\r?$)", re.MULTILINE
)


# A module of the folder's package: `from . import a, b as c`, or with the names in parentheses. For
# these Transformers does not look, so Python fails when it runs the line; one that is indented is
# in a function or a `try` block, and may never run.
_PACKAGE_IMPORTS: Final = re.compile(
    r"^from[ \t]*(\.+)[ \t]*import(?:[ \t]*\(([^)]*)\)|[ \t]+([^\n;(]+))", re.MULTILINE
)
_COMMENT: Final = re.compile(r"#.*")

# Transformers takes the name of a file, one dot and a class (dynamic_module_utils.
# get_class_from_dynamic_module, 5.23): with two dots it ends in a ValueError.
_REFERENCE: Final = re.compile(r"((?:[\w-]+/)*[\w-]+)\.(\w+)")


def auto_map_modules(auto_map: object) -> Mapping[str, list[str]]:
    """The modules an auto_map names, with the classes loaded from each.

    A value is "module.Class", or a list of such (slow and fast tokenizer) with nulls in it.
    "ORG/REPO--module.Class" is loaded from the Hub, not from the folder.
    """
    modules: dict[str, list[str]] = {}
    for reference in _own_references(auto_map):
        match = _REFERENCE.fullmatch(reference)
        if match is not None:
            classes = modules.setdefault(f"{match[1]}.py", [])
            if match[2] not in classes:
                classes.append(match[2])
    return modules


def _own_references(auto_map: object) -> Iterator[str]:
    """The values that name modules of the model itself."""
    for value in auto_map.values() if isinstance(auto_map, dict) else ():
        for reference in value if isinstance(value, list) else [value]:
            if isinstance(reference, str) and "--" not in reference:
                yield reference


def malformed_references(source: Source, where: str, auto_map: object) -> Iterator[Finding]:
    """A finding for each value that names no module of the folder: with "..", "/", or no class.

    Args:
        source: The model's files.
        where: Names the config with the auto_map, first its file.
        auto_map: The member as it was read.
    """
    file = where.partition("'")[0]
    for reference in dict.fromkeys(_own_references(auto_map)):
        if not _REFERENCE.fullmatch(reference):
            yield _codes.finding(
                "auto-map-malformed",
                f"{source.name}/{file}",
                f"The auto_map in {where} has the value {shortened(repr(reference))}, which is not "
                "of the form module.Class.",
                expected="module.Class",
                actual=shortened(reference),
            )


def missing_modules(
    source: Source, where: str, modules: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """A finding for each module that an auto_map names and the checkpoint lacks.

    Args:
        source: The model's files.
        where: Names the config with the auto_map.
        modules: Path → classes.
    """
    for module, classes in modules.items():
        if module not in source.files:
            shown = shortened(module)
            yield _codes.finding(
                "remote-code-missing",
                f"{source.name}/{shown}",
                f"{shown} is missing; the auto_map in {where} loads "
                f"{shortened(', '.join(classes))} from it.",
                expected=shown,
            )


def missing_imports(source: Source, modules: Sequence[str]) -> Iterator[Finding]:
    """A finding for each file that one of the modules imports, also through others, and is absent.

    Args:
        source: The model's files.
        modules: Paths of modules; missing ones are ignored here.
    """
    waiting = [module for module in modules if module in source.files]
    seen = set(waiting)
    while waiting and len(seen) <= MODULES_MAX:
        importer = waiting.pop()
        for candidates in _imported(source, importer):
            found = next((path for path in candidates if path in source.files), None)
            if candidates[0] in seen or found in seen:
                continue
            seen.add(found or candidates[0])
            if found is not None:
                waiting.append(found)
                continue
            shown = shortened(candidates[0])
            yield _codes.finding(
                "remote-code-missing",
                f"{source.name}/{shown}",
                f"{shown} is missing; {shortened(importer)} imports it.",
                expected=shown,
            )


def _imported(source: Source, module: str) -> Iterator[tuple[str, str]]:
    """Each relative import of a module: the path as a file, and the path as a package."""
    try:
        with source.open(module) as file:
            text = file.read(0, MODULE_BYTES_MAX).decode("utf-8", "replace")
    except FileRefusedError:
        return  # the check of the companions reports it
    for match in _RELATIVE_IMPORTS.finditer(text):
        name = match[1] or match[2]
        plain = name.lstrip(".")
        folder = _above(module, len(name) - len(plain))
        yield _candidates(folder / plain.replace(".", "/"))
    for match in _PACKAGE_IMPORTS.finditer(_COMMENT.sub("", text)):
        folder = _above(module, len(match[1]) - 1)
        # The name may be one of the package's own.
        if not source.files.get(str(folder / "__init__.py")):
            yield from (
                _candidates(folder / name) for name in _imported_names(match[2] or match[3])
            )


def _above(module: str, steps: int) -> PurePosixPath:
    """The module's folder, or the one that many steps above it."""
    folder = PurePosixPath(module).parent
    for _ in range(steps):
        folder = folder.parent
    return folder


def _candidates(path: PurePosixPath) -> tuple[str, str]:
    return f"{path}.py", f"{path}/__init__.py"


def _imported_names(listed: str) -> Iterator[str]:
    """The names of an import: "a, b as c" has a and b."""
    for part in listed.split(","):
        name = part.split()[0] if part.strip() else ""
        if name.isidentifier():
            yield name
