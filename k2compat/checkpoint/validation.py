"""Open a checkpoint; judge whether it is what its config says, by headers, in one pass."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from k2compat.checkpoint.companions import (
    ReadConfig,
    check_behaviour,
    check_beside,
    check_companions,
    parse_config,
    read_config,
    with_quantization_files,
)
from k2compat.checkpoint.engines import Judged, engine_verdicts
from k2compat.checkpoint.gguf_files import read_ggufs, validate_ggufs
from k2compat.checkpoint.model import assume_member
from k2compat.checkpoint.reporting import (
    FileFindings,
    Progress,
    Validation,
    fold_by_code,
    fold_equal,
)
from k2compat.checkpoint.safetensors_files import (
    INDEX_FILE,
    SUFFIX,
    SafetensorsHeader,
    SafetensorsTensor,
    read_safetensors_from,
    validate_safetensors,
)
from k2compat.checkpoint.sources import (
    WEIGHT_SUFFIXES,
    FileRefusedError,
    ModelFolder,
    Source,
    is_single_file,
    join_parts,
    natural,
    open_file,
    open_folder_source,
    read_model_folder,
)
from k2compat.config import MAXIMUM_BYTES
from k2compat.errors import RefusedError
from k2compat.family import CONFIG_FILE, SWITCHABLE, WRAPPERS
from k2compat.findings import Finding, Report
from k2compat.hub import parse_repo_url, refuse_repo_name, snapshot_hint
from k2compat.printable import counted
from k2compat.shell_line import shell_line

if TYPE_CHECKING:
    from k2compat.checkpoint.safetensors_files import ComparedTensor
    from k2compat.checkpoint.sampling import Sampler


class Checkpoint:
    """The safetensors of a folder, a single file or a repo on the Hub.

    If it is on the Hub, close it, or use it in a `with` statement.

    Attributes:
        source: Its files.
    """

    def __init__(self, source: Source) -> None:
        """Take a source; nothing is read yet."""
        self.source = source

    @property
    def config(self) -> Mapping[str, Any] | None:
        """The members of its config.json; None where there is none or it is damaged."""
        return read_config(self.source).members

    def headers(self) -> Iterator[SafetensorsHeader]:
        """The header of each shard, read on demand.

        A damaged or unreadable file is a header with findings; nothing is raised for it.
        """
        for name in sorted(self.source.files, key=natural):
            if name.endswith(SUFFIX) and "/" not in name:
                yield read_safetensors_from(self.source.open(name), f"{self.source.name}/{name}")

    def tensors(self) -> Iterator[SafetensorsTensor]:
        """Every tensor of every shard: name, dtype, shape (slowest dimension first), offsets.

        The offsets are bytes from the end of its file's header.
        """
        for header in self.headers():
            yield from header.tensors

    def close(self) -> None:
        """Stop running requests; a folder has nothing to close."""
        self.source.close()

    def __enter__(self) -> Self:
        """Return the checkpoint."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def open_checkpoint(place: Path | str | Source) -> Checkpoint:
    """Open a checkpoint without reading it.

    Args:
        place: A folder, a single .safetensors file, hf://ORG/REPO[@REVISION] or the same with
            ms://, or a source.

    Raises:
        RefusedError: not-found, not-readable, weights-missing for a file without weights, or
            hub-url-malformed.
        HubError: The Hub has no such repo or does not answer.
    """
    if isinstance(place, str):
        repo = parse_repo_url(place)
        if repo is not None:
            from k2compat.checkpoint.hub_source import open_hub_source  # loads the Hub's client

            return Checkpoint(open_hub_source(repo))
        refuse_repo_name(place)
    if isinstance(place, Path | str):
        return Checkpoint(open_folder_source(Path(place)))
    return Checkpoint(place)


@contextmanager
def open_source(place: Source | Path | str) -> Iterator[Source]:
    """The files of a checkpoint, as `open_checkpoint` finds them.

    A source that was given stays open.
    """
    checkpoint = open_checkpoint(place)
    try:
        yield checkpoint.source
    finally:
        if checkpoint.source is not place:
            checkpoint.close()


_FOREIGN = "foreign-"
"""The prefix of the codes of folders that hold no checkpoint of the family."""

UNREAD = "only headers were read"
"""The reason why data are not checked, unless they are sampled or hashed."""

SAFETENSORS, GGUF = (suffix.removeprefix(".") for suffix in WEIGHT_SUFFIXES)


def validate(
    place: Source | Path | str,
    *,
    config: Path | str | None = None,
    engine: str | None = None,
    deep: bool = False,
    like: Source | Path | str | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Validation:
    """Judge a checkpoint by its headers, config, index and files.

    Args:
        place: A folder, a single file, hf://ORG/REPO[@REVISION], or a source.
        config: A config.json, or a folder with one, which is compared with the weights in place
            of the checkpoint's own.
        engine: One of `engine_names()`: its verdicts become errors.
        like: Another checkpoint, as `place`: tensors with other names, dtypes or shapes are
            findings.
        deep: Whether to sample the data, too: zeros, NaN, negative scales; and to open local
            shards with the safetensors library.
        progress: Called after each file of weights with the files done and the files in all.

    Raises:
        RefusedError: weights-missing: there are neither safetensors nor GGUFs; not-found or
            not-readable for the place itself or the config.
        HubError: The Hub does not answer.
    """
    with open_source(place) as opened:
        source = _joined(opened)
        sampler = _sampler(source) if deep else None
        validation = _validate(source, config, engine, progress, sampler)
        if sampler is None:
            found: tuple[Finding, ...] = ()
            unread = f"{counted(validation.bytes, 'byte')} of data: {UNREAD}"
        else:
            found = fold_by_code(source.name, sampler.sample.findings)
            unread = sampler.sample.words
        return replace(
            validation,
            report=Report((*validation.report, *source.findings, *found, *_unlike(source, like))),
            not_checked=(unread, *validation.not_checked),
        )


def _joined(source: Source) -> Source:
    """The source, with GGUFs that were cut into parts as whole files."""
    return join_parts(source) if any(".gguf" in name for name in source.files) else source


def _unlike(source: Source, like: Source | Path | str | None) -> tuple[Finding, ...]:
    if like is None:
        return ()
    from k2compat.checkpoint.safetensors_files import compare_tensors  # --like alone

    with open_checkpoint(source) as first, open_checkpoint(like) as other:
        return compare_tensors(source.name, _tensors(first), _tensors(other))


def _tensors(checkpoint: Checkpoint) -> "Iterator[ComparedTensor]":
    """The tensors of the format with most bytes; a split set of GGUFs counts as one file."""
    from k2compat.checkpoint.safetensors_files import ComparedTensor

    source = _joined(checkpoint.source)
    held = _formats(source)
    if held and max(held, key=held.__getitem__) == GGUF:
        for header in read_ggufs(source, lambda _done, _total: None).headers.values():
            for tensor in header.tensors:
                yield ComparedTensor(tensor.name, tensor.type_name, tensor.dimensions)
    else:
        for stored in checkpoint.tensors():
            yield ComparedTensor(stored.name, stored.dtype, stored.shape)


def _validate(
    source: Source,
    config: Path | str | None,
    engine: str | None,
    progress: Progress,
    sampler: "Sampler | None",
) -> Validation:
    """All checks, in the order of the report."""
    held = _formats(source)
    if not held:
        raise RefusedError(
            "weights-missing",
            f"{source.name} holds neither safetensors nor GGUF files.",
            hint=_weights_hint(source),
        )
    format_name = max(held, key=held.__getitem__)
    read = _own_config(source, format_name) if config is None else _other_config(Path(config))
    read = _as_member(read)
    judged = Judged(source.name, format_name, read.members, is_mixed=len(held) > 1)
    if format_name == SAFETENSORS:
        read = with_quantization_files(source, read)
        validation = validate_safetensors(source, read, progress, sampler)
        judged = replace(judged, config=read.members)
    else:
        contents = read_ggufs(source, progress, sampler)
        validation = validate_ggufs(source.name, contents, read)
        codes = frozenset(finding.code for finding in validation.report)
        folder = None if is_single_file(source) else _folder(source)
        if not contents.headers:
            validation = replace(validation, report=Report(_behind_link(source)))
        judged = replace(judged, headers=contents.headers, found=codes, folder=folder)
    if any(finding.code.startswith(_FOREIGN) for finding in validation.report):
        # Such a folder needs other files than a checkpoint, and other engines.
        return replace(validation, report=Report(fold_equal(source.name, validation.report)))
    findings = (
        *read.findings,
        *validation.report,
        *_companions(source, format_name),
        *_behaviour(source, format_name, read),
        *engine_verdicts(judged, engine),
    )
    return replace(validation, report=Report(fold_equal(source.name, findings)))


def _weights_hint(source: Source) -> str:
    """A hint where the weights may be: in a snapshot of a cache entry, or in a folder below."""
    folder = Path(source.name)
    below = {name.rpartition("/")[0] for name in source.files if name.endswith(f".{SAFETENSORS}")}
    if not source.is_remote and snapshot_hint(folder.absolute()):
        return str(snapshot_hint(folder.absolute()))
    if not source.is_remote and below:
        return f"Name the folder that holds the weights, e.g. {shell_line(folder / min(below))}"
    return "Name the folder that holds the weights."


def _sampler(source: Source) -> "Sampler":
    from k2compat.checkpoint.sampling import Sampler  # --deep alone

    return Sampler(is_remote=source.is_remote)


def _folder(source: Source) -> ModelFolder:
    files = {name: Path(name) for name in source.files}
    return ModelFolder(Path(source.name), files, source.linked_folders)


def _formats(source: Source) -> dict[str, int]:
    """The formats of the weights that are there, with how many bytes each has."""
    sizes: dict[str, int] = {}
    for name, size in source.files.items():
        for suffix in WEIGHT_SUFFIXES:
            # Engines search for safetensors only in the folder itself; split GGUFs may be below it.
            if name.endswith(suffix) and (suffix == ".gguf" or "/" not in name):
                form = suffix.removeprefix(".")
                sizes[form] = sizes.get(form, 0) + (size or 0)
    if not sizes and _linked_ggufs(source):
        sizes[GGUF] = 0  # a staged index may be there, but the weights are the GGUFs
    elif not sizes and INDEX_FILE in source.files:
        sizes[SAFETENSORS] = 0  # an index without weights: the report names the shards it lacks
    return sizes


def _linked_ggufs(source: Source) -> list[str]:
    """Linked folders with GGUFs in them, where a folder holds no weights itself."""
    found = []
    for linked in source.linked_folders:
        with suppress(OSError):  # a folder that this user may not list
            if read_model_folder(Path(source.name, linked)).ending_with(".gguf"):
                found.append(linked)
    return found


def _behind_link(source: Source) -> tuple[Finding, ...]:
    linked = _linked_ggufs(source)
    found = FileFindings(f"{source.name}/{linked[0]}")
    found.add(
        "weights-linked-folder",
        "the GGUFs lie in this linked folder, which is not entered: none was checked",
        count=len(linked),
        items=linked,
    )
    return found.findings()


def _own_config(source: Source, format_name: str) -> ReadConfig:
    # GGUFs hold their own metadata, and a single file has no companions.
    if CONFIG_FILE not in source.files and (format_name == GGUF or is_single_file(source)):
        return ReadConfig(None, f"{source.name}/{CONFIG_FILE}")
    return read_config(source)


def _as_member(read: ReadConfig) -> ReadConfig:
    if read.members is None or _is_of_family(read.members):
        return read
    members, findings = assume_member(read.members, read.where)
    return replace(read, members=members, findings=(*read.findings, *findings))


def _is_of_family(config: Mapping[str, Any]) -> bool:
    """Whether a config has the family's own type, and no other config in it."""
    has_inner = any(isinstance(config.get(member), dict) for member in WRAPPERS.values())
    return config.get("model_type") in SWITCHABLE and not has_inner


def _other_config(path: Path) -> ReadConfig:
    """A config that the user named; a file that cannot be read is refused."""
    path = path / CONFIG_FILE if path.is_dir() else path
    try:
        with open_file(path) as file:
            data = file.read(0, MAXIMUM_BYTES + 1)
    except FileRefusedError as refusal:
        code = "not-found" if refusal.finding.code == "file-missing" else "not-readable"
        raise RefusedError(
            code,
            f"{path} {refusal.finding.message}.",
            hint="Name a config.json, or a folder that holds one.",
        ) from refusal
    return parse_config(data, str(path), path)


def _behaviour(source: Source, format_name: str, config: ReadConfig) -> Iterator[Finding]:
    # A GGUF has tokenizer, template and rope in its own metadata.
    if format_name == SAFETENSORS and config.members is not None and not is_single_file(source):
        yield from check_behaviour(source, config.where, config.members)


def _companions(source: Source, format_name: str) -> Iterator[Finding]:
    if is_single_file(source):
        return
    if format_name == SAFETENSORS:
        yield from check_companions(source, judged=(CONFIG_FILE,))
    else:
        yield from check_beside(source)  # for staging; not for llama.cpp
