"""The files that a model needs besides its weights: config, tokenizer, remote code.

The remote code is not run: `auto_map` names its modules, and their imports name further ones.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from k2compat.checkpoint.companions.config_file import check_settings
from k2compat.checkpoint.companions.special_tokens import check_chat_template, check_special_tokens
from k2compat.checkpoint.companions.token_tables import RANKS_FILE, check_ranks
from k2compat.checkpoint.sources import FileRefusedError, Source
from k2compat.config import MAXIMUM_BYTES, read_text
from k2compat.errors import RefusedError
from k2compat.family import (
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    TOKENIZER_CONFIG_FILE,
    VOCABULARY_FILES,
    WRAPPERS,
)
from k2compat.findings import Codes, Finding
from k2compat.printable import shortened

_codes = Codes("checkpoint")

_OPTIONAL_JSON: Final = (
    GENERATION_CONFIG_FILE,
    "special_tokens_map.json",
    "added_tokens.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
# Of these, engines load the processor's modules.
_WITH_PROCESSOR: Final = (
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
_TEMPLATES: Final = ("chat_template.jinja",)


def check_companions(source: Source, *, judged: Collection[str] = ()) -> Iterator[Finding]:
    """Find missing files among those of config and tokenizer.

    Args:
        source: The model's files.
        judged: Files whose absence or damage the caller reports.
    """
    modules: dict[str, None] = {}
    for name in (CONFIG_FILE, TOKENIZER_CONFIG_FILE):
        members = read_members(source, name)
        if isinstance(members, Mapping):
            yield from _modules(source, name, members, modules)
        elif name not in judged:
            yield _missing(source, name) if members is None else members
    for name in _WITH_PROCESSOR:
        members = read_members(source, name)
        if isinstance(members, Mapping):
            yield from _modules(source, name, members, modules)
    yield from missing_imports(source, tuple(modules))
    if not any(name in source.files for name in VOCABULARY_FILES):
        yield _missing(source, " or ".join(VOCABULARY_FILES))
    yield from check_beside(source, modules)


def check_beside(source: Source, modules: Collection[str] = ()) -> Iterator[Finding]:
    """Find faults of optional small files, which engines open if they exist.

    Args:
        source: The model's files.
        modules: Python files that an auto_map names; other Python files may be empty.
    """
    for name in _OPTIONAL_JSON:
        members = read_members(source, name)
        if isinstance(members, Finding):
            yield members
    code = sorted(name for name in source.files if name.endswith(".py") and "/" not in name)
    for name in dict.fromkeys((*VOCABULARY_FILES, *_TEMPLATES, *modules, *code)):
        if name not in source.files:
            continue
        try:
            with source.open(name) as file:
                if name == RANKS_FILE:
                    yield from check_ranks(file)
        except FileRefusedError as refusal:
            if name in modules or refusal.finding.code != "file-empty" or name not in code:
                yield refusal.finding


def check_behaviour(source: Source, where: str, config: Mapping[str, Any]) -> Iterator[Finding]:
    """Find settings with which a model loads but answers with nonsense.

    Args:
        source: The model's files.
        where: Names the config.
        config: The members of the config that the weights are compared with.
    """
    generation, tokenizer = (
        members if isinstance(members := read_members(source, name), Mapping) else {}
        for name in (GENERATION_CONFIG_FILE, TOKENIZER_CONFIG_FILE)
    )
    yield from check_settings(where, config)
    yield from check_special_tokens(source, config, generation, tokenizer)
    yield from check_chat_template(source, config, tokenizer)


def remote_code(source: Source, paths: Iterable[str]) -> Iterator[Finding]:
    """Name the Python files that trust_remote_code lets run, with their SHA-256.

    One finding for all of them; its items are "sha256:DIGEST  PATH".

    Raises:
        RefusedError: not-readable.
    """
    digests = {path: hashlib.sha256(_whole(source, path)).hexdigest() for path in paths}
    if digests:
        named = ", ".join(f"{shortened(path)} (sha256:{of})" for path, of in digests.items())
        are = "file runs as a program" if len(digests) == 1 else "files run as programs"
        yield _codes.finding(
            "remote-code",
            source.name,
            f"{len(digests)} Python {are} where trust_remote_code is set: {named}.",
            count=len(digests),
            items=tuple(f"sha256:{of}  {shortened(path)}" for path, of in digests.items()),
        )


def _whole(source: Source, path: str) -> bytes:
    try:
        with source.open(path) as file:
            return file.read(0, file.size)
    except FileRefusedError as refusal:
        if refusal.finding.code == "file-empty":  # as many an __init__.py
            return b""
        raise RefusedError(
            "not-readable",
            f"{refusal.finding.where} {refusal.finding.message}.",
            hint="Check that it is a plain file which this user may read.",
        ) from refusal


def read_members(source: Source, name: str) -> Mapping[str, Any] | Finding | None:
    """A JSON file's members; a finding where it is damaged, None where it is absent."""
    if name not in source.files:
        return None
    path = f"{source.name}/{name}"
    try:
        with source.open(name) as file:
            data = file.read(0, MAXIMUM_BYTES + 1)
        return read_text(data, name).members
    except RefusedError as error:
        return _codes.finding("companion-damaged", path, error.message, fix=error.hint)
    except FileRefusedError as refusal:
        return refusal.finding


def _missing(source: Source, name: str) -> Finding:
    # Where any of several files would do, the place is the folder.
    where = source.name if " or " in name else f"{source.name}/{name}"
    return _codes.finding("companion-missing", where, f"{name} is missing.", expected=name)


def _modules(
    source: Source, name: str, members: Mapping[str, Any], modules: dict[str, None]
) -> Iterator[Finding]:
    """Add the modules that a file's auto_map names, also those of a wrapped config."""
    nested = {member: members.get(member) for member in WRAPPERS.values()}
    maps = {name: members.get("auto_map")} | {
        f"{name}'s {member}": config.get("auto_map")
        for member, config in nested.items()
        if isinstance(config, dict)
    }
    for where, auto_map in maps.items():
        yield from malformed_references(source, where, auto_map)
        named = auto_map_modules(auto_map)
        new = {module: classes for module, classes in named.items() if module not in modules}
        modules.update(dict.fromkeys(named))
        yield from missing_modules(source, where, new)


MODULE_BYTES_MAX: Final = 4 << 20
"""modeling_deepseek.py has 80,000."""

MODULES_MAX: Final = 200

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
