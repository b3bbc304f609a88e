"""Which Python files a config's auto_map loads, and which of them are not there.

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


def auto_map_modules(auto_map: object) -> Mapping[str, list[str]]:
    """The modules an auto_map names, with the classes loaded from each.

    A value is "module.Class", or a list of such (slow and fast tokenizer) with nulls in it.
    "ORG/REPO--module.Class" is loaded from the Hub, not from the folder.
    """
    modules: dict[str, list[str]] = {}
    for value in auto_map.values() if isinstance(auto_map, dict) else ():
        for reference in value if isinstance(value, list) else [value]:
            if isinstance(reference, str) and "--" not in reference and "." in reference:
                module, _, class_name = reference.rpartition(".")
                classes = modules.setdefault(module.replace(".", "/") + ".py", [])
                if class_name not in classes:
                    classes.append(class_name)
    return modules


def missing_modules(
    source: Source, where: str, modules: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """A finding for each module that an auto_map names and the checkpoint has not.

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
        modules: Paths of modules; those that are not there are no matter here.
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
    """Each relative import of a module: the path of the file, and of a package in its place."""
    try:
        with source.open(module) as file:
            text = file.read(0, MODULE_BYTES_MAX).decode("utf-8", "replace")
    except FileRefusedError:
        return  # whoever checks the companions reports it
    for match in _RELATIVE_IMPORTS.finditer(text):
        name = match[1] or match[2]
        plain = name.lstrip(".")
        folder = PurePosixPath(module).parent
        for _ in range(len(name) - len(plain)):
            folder = folder.parent
        path = str(folder / plain.replace(".", "/"))
        yield f"{path}.py", f"{path}/__init__.py"
