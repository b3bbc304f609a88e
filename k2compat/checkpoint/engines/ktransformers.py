"""Reasons why KTransformers does not load a GGUF folder, or loads another model.

KTransformers walks the folder, uses the loader of the first weight file that it finds, merges
every GGUF, later files over earlier ones, and compares nothing with the config. So most mistakes
give no message, or end in "model not supported".
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from k2compat.checkpoint.companions import check_companions, read_members, remote_code
from k2compat.checkpoint.gguf_files import (
    ARCHITECTURE_KEY,
    PROJECTOR,
    SPLIT_COUNT,
    GgufHeader,
    Metadata,
    check_gguf_sets,
    deepseek2,
    group_gguf_files,
    has_split_mla,
    other_sizes,
    read_gguf,
    read_sizes,
)
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import FolderSource, ModelFolder, Source
from k2compat.family import CONFIG_FILE, text_config
from k2compat.findings import Codes, Finding
from k2compat.printable import counted, shortened

_codes = Codes("checkpoint")

_KEY_PROJECTION = re.compile(r"blk\.(\d+)\.attn_(k_b|kv_b)\.weight")


def ktransformers_verdicts(
    folder: ModelFolder,
    headers: Mapping[str, GgufHeader],
    config: Mapping[str, Any] | None,
) -> Iterator[Finding]:
    """Findings for KTransformers alone; other engines load such a folder.

    Args:
        folder: The GGUF folder.
        headers: Path → header, of every GGUF below the folder.
        config: Members of the config.json that KTransformers will read, if there is one.
    """
    yield from _stray_safetensors(folder)
    yield from _linked_folders(folder)
    yield from _other_models(headers, config)
    yield from _split_mla(folder.root, headers.values())


def check_ktransformers(folder: ModelFolder, source: Source | None = None) -> Iterator[Finding]:
    """All reasons why KTransformers does not load the folder, or loads it wrongly.

    Args:
        folder: The GGUF folder with the model's files beside the GGUFs.
        source: The same files, where some of them are not on this machine.

    Raises:
        RefusedError: not-readable; a Python file could not be read.
    """
    source = FolderSource(str(folder.root), folder) if source is None else source
    yield from check_companions(source)
    # GGUFs that are only planned are links to files elsewhere, which are read.
    headers = {
        str(folder.root / relative): read_gguf(folder.files[relative])
        for relative in folder.ending_with(".gguf")
    }
    yield from check_gguf_sets(headers, headers)
    for header in headers.values():
        yield from header.findings
    yield from _without_architecture(headers)
    config = read_members(source, CONFIG_FILE)
    yield from ktransformers_verdicts(
        folder, headers, config if isinstance(config, Mapping) else None
    )
    yield from remote_code(source, folder.ending_with(".py"))


def _stray_safetensors(folder: ModelFolder) -> Iterator[Finding]:
    strays = folder.ending_with(".safetensors")
    if strays:
        yield _codes.finding(
            "ktransformers-stray-safetensors",
            folder.root / strays[0],
            f"{counted(len(strays), 'safetensors file')} in the GGUF folder: KTransformers may "
            "load safetensors instead of the GGUFs.",
            count=len(strays),
            fix="Move them out of the folder.",
        )


def _linked_folders(folder: ModelFolder) -> Iterator[Finding]:
    for relative in folder.linked_folders:
        yield _codes.finding(
            "ktransformers-linked-folder",
            folder.root / relative,
            f"{relative} is a link to a folder; KTransformers does not look into it.",
        )


def _other_models(
    headers: Mapping[str, GgufHeader], config: Mapping[str, Any] | None
) -> Iterator[Finding]:
    """One finding for each model that is not the config's.

    Only the first file of a set has metadata, and a cut header has only a part of them. Headers
    that cannot be compared have findings of their own.
    """
    for first in _first_headers(headers):
        architecture = first.metadata.get(ARCHITECTURE_KEY)
        if architecture == PROJECTOR:
            yield _foreign("ktransformers-projector", first.path, "a vision projector")
        elif isinstance(architecture, str) and architecture != deepseek2().architecture:
            what = f"a model of architecture {shortened(architecture)}"
            yield _foreign("ktransformers-other-architecture", first.path, what, architecture)
        elif architecture is not None and config is not None:
            yield from _other_sizes(first, config)


def _first_headers(headers: Mapping[str, GgufHeader]) -> Iterator[GgufHeader]:
    """The header of each set's first file, by its name in `headers`, if it is whole."""
    for gguf_set in group_gguf_files(headers):
        name = gguf_set.members.get(1)
        # A header without a place for its data ended before its metadata or its tensors did.
        if name is not None and headers[name].data_offset:
            yield replace(headers[name], path=name)


def _foreign(code: str, path: str, what: str, architecture: str = PROJECTOR) -> Finding:
    return _codes.finding(
        code,
        path,
        f"{PurePath(path).name} is {what}; KTransformers merges it with the other GGUFs.",
        expected=deepseek2().architecture,
        actual=shortened(architecture),
        fix="Move it out of the folder.",
    )


def _other_sizes(header: GgufHeader, config: Mapping[str, Any]) -> Iterator[Finding]:
    metadata = Metadata(header.metadata, header.value_types)
    split_mla = has_split_mla(metadata)
    sizes = read_sizes(metadata, FileFindings(header.path), split_mla=split_mla)
    different = tuple(other_sizes(sizes, text_config(config)))
    if different:
        first = different[0]
        more = f", and {len(different) - 1} more of its sizes differ" if different[1:] else ""
        yield _codes.finding(
            "ktransformers-other-model",
            header.path,
            f"{PurePath(header.path).name} is of another model than {CONFIG_FILE}: {first.key} is "
            f"{first.ours:,}, {first.member} is {first.theirs:,}{more}.",
            count=len(different),
            expected=", ".join(f"{each.member} {each.theirs}" for each in different),
            actual=", ".join(f"{each.key} {each.ours}" for each in different),
            items=tuple(each.key for each in different) if more else (),
        )


def _without_architecture(headers: Mapping[str, GgufHeader]) -> Iterator[Finding]:
    """Whole headers that do not name a model, except known parts of a set."""
    for first in _first_headers(headers):
        if ARCHITECTURE_KEY not in first.metadata and SPLIT_COUNT not in first.metadata:
            yield _codes.finding(
                "gguf-architecture-missing",
                first.path,
                f"{PurePath(first.path).name} does not name the architecture of its model.",
            )


def _split_mla(root: Path, headers: Iterable[GgufHeader]) -> Iterator[Finding]:
    """Layers whose key projection is split in some file, and joined in no file."""
    layers: dict[str, set[int]] = {"k_b": set(), "kv_b": set()}
    for header in headers:
        for tensor in header.tensors:
            match = _KEY_PROJECTION.fullmatch(tensor.name)
            if match:
                layers[match[2]].add(int(match[1]))
    split_only = layers["k_b"] - layers["kv_b"]
    if split_only:
        yield _codes.finding(
            "ktransformers-split-mla",
            root,
            f"Split MLA tensors (attn_k_b and attn_v_b) in {counted(len(split_only), 'layer')}: "
            "KTransformers joins them from 0.3.2 on, older versions do not load them.",
            count=len(split_only),
        )
