"""The files a model needs beside its weights: config, tokenizer, remote code."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from k2compat.checkpoint.model_folder import ModelFolder
from k2compat.config import read_text
from k2compat.errors import RefusedError
from k2compat.family import CONFIG_FILE, TOKENIZER_CONFIG_FILE, VOCABULARY_FILES
from k2compat.files import read_regular, real_path
from k2compat.findings import Codes, Finding

_codes = Codes("checkpoint")


def check_companions(folder: ModelFolder) -> Iterator[Finding]:
    """Find what is missing of the files that config and tokenizer are loaded from."""
    for name in (CONFIG_FILE, TOKENIZER_CONFIG_FILE):
        members = read_members(folder, name)
        if members is None:
            yield _missing(folder, name)
        elif isinstance(members, Finding):
            yield members
        else:
            yield from _missing_modules(folder, name, members)
    if not any(name in folder.files for name in VOCABULARY_FILES):
        yield _missing(folder, " or ".join(VOCABULARY_FILES))


def remote_code(folder: ModelFolder, paths: Iterable[str]) -> Iterator[Finding]:
    """Name the Python files that trust_remote_code lets run, with their SHA-256."""
    for path in paths:
        digest = hashlib.sha256(_bytes(folder.files[path])).hexdigest()
        yield _codes.finding(
            "remote-code",
            path,
            "This file runs as a program where trust_remote_code is set.",
            actual=f"sha256:{digest}",
        )


def read_members(folder: ModelFolder, name: str) -> Mapping[str, Any] | Finding | None:
    """A JSON file's members; a finding where it is damaged, None where it is absent."""
    if name not in folder.files:
        return None
    path = folder.root / name
    try:
        return read_text(_bytes(folder.files[name]), name).members
    except RefusedError as error:
        return _codes.finding("companion-damaged", path, error.message, fix=error.hint)
    except OSError as error:
        message = f"{name} cannot be read: {error.strerror}."
        return _codes.finding("companion-damaged", path, message)


def _bytes(path: Path) -> bytes:
    return read_regular(real_path(path))


def _missing(folder: ModelFolder, name: str) -> Finding:
    return _codes.finding(
        "companion-missing",
        folder.root,
        f"{name} is missing.",
        expected=name,
    )


def _missing_modules(
    folder: ModelFolder, name: str, members: Mapping[str, Any]
) -> Iterator[Finding]:
    for module, classes in _modules(members.get("auto_map")).items():
        if module not in folder.files:
            yield _codes.finding(
                "remote-code-missing",
                folder.root,
                f"{module} is missing; the auto_map in {name} loads {', '.join(classes)} from it.",
                expected=module,
            )


def _modules(auto_map: object) -> Mapping[str, list[str]]:
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
