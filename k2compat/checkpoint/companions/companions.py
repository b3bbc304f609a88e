"""The files that a model needs besides its weights: config, tokenizer, remote code."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from k2compat.checkpoint.companions.chat_template import check_chat_template
from k2compat.checkpoint.companions.remote_modules import (
    auto_map_modules,
    malformed_references,
    missing_imports,
    missing_modules,
)
from k2compat.checkpoint.companions.router_and_rope import check_settings
from k2compat.checkpoint.companions.special_tokens import check_special_tokens
from k2compat.checkpoint.companions.token_ranks import RANKS_FILE, check_ranks
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
