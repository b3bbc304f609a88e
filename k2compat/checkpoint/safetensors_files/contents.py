"""A checkpoint before its tensors are compared: index, shards, and how its weights are stored.

The names of the first quantised module show whether the config's schemes can be right. If they
cannot, the module's shapes and dtypes give the scheme, and the names give the modules that have
it. One finding then replaces a hundred thousand.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final

from k2compat.checkpoint.model import (
    PLAIN,
    SCHEMES,
    SUFFIXES,
    Architecture,
    FoundTensor,
    Group,
    Module,
    ModulePatterns,
    Quantization,
    Storage,
    expected_blocks,
    labelled,
    possible_storages,
    without_patterns,
)
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.comparison import Comparison
from k2compat.checkpoint.safetensors_files.header import (
    SafetensorsHeader,
    SafetensorsTensor,
    read_safetensors_from,
)
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE, WeightIndex, read_index
from k2compat.checkpoint.safetensors_files.shards import Shards, find_shards, is_numbered
from k2compat.checkpoint.sampling import Sampler
from k2compat.checkpoint.sources import FileRefusedError, Source, root_of
from k2compat.findings import Finding

_WEIGHT: Final = "weight"
_OF_SCHEME: Final = SUFFIXES - {_WEIGHT}
_PROJECTION: Final = "_proj."
_LAYER: Final = re.compile(r"((?:[a-z_]{1,40}\.){0,8})layers\.[0-9]{1,9}\.(?:self_attn|mlp)\.")
_MODEL: Final = "model."
_NUMBER: Final = re.compile(r"[0-9]+")

_NEAR: Final = 64
"""How many names around a tensor's are searched for its module: shards keep a module together.

These are the names of 15 modules or more."""

TensorReader = Callable[[], Iterable[SafetensorsTensor]]
"""Reads the tensors of all shards, one shard after the other."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The storage that the names of the tensors show.

    Attributes:
        module: The first quantised module; "" where there is none.
        suffixes: The suffixes of its tensors.
        usual: The suffixes of the tensors that most modules near it have: one module with a tensor
            of another conversion is not another scheme.
    """

    module: str = ""
    suffixes: frozenset[str] = frozenset()
    usual: frozenset[str] = frozenset()


def observe(names: Iterable[str]) -> Observed | None:
    """The first quantised module among the names of tensors; None where there is no projection."""
    plain = None
    before: deque[str] = deque(maxlen=_NEAR)
    remaining = iter(names)
    for name in remaining:
        if _PROJECTION in name:
            plain = Observed()
            module, _, suffix = name.rpartition(".")
            if suffix in _OF_SCHEME:
                modules = _modules([*before, name, *islice(remaining, _NEAR)], names)
                quantised = (found for found in modules.values() if found & _OF_SCHEME)
                usual, _ = Counter(quantised).most_common(1)[0]
                return Observed(module, modules[module], usual)
        before.append(name)
    return plain


def _modules(near: Iterable[str], names: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """The modules among some names, and the suffixes of their tensors."""
    modules: dict[str, set[str]] = {}
    for name in near:
        module, _, suffix = name.rpartition(".")
        if suffix in SUFFIXES:
            modules.setdefault(module, set()).add(suffix)
    if isinstance(names, Mapping):
        for module in modules:
            modules[module] = {suffix for suffix in SUFFIXES if f"{module}.{suffix}" in names}
    return {module: frozenset(found) for module, found in modules.items()}


def rename(
    root: str, architecture: Architecture, names: Iterable[str]
) -> tuple[Architecture | None, tuple[Finding, ...]]:
    """The architecture with the prefix of the tensors' names, and a finding if that differs.

    Args:
        root: Names the checkpoint.
        architecture: The architecture of the config.
        names: The names of the tensors.

    Returns:
        None where no rule fits the names.
    """
    start = architecture.prefix + _MODEL
    found = None
    for name in names:
        if name.startswith(start):
            return architecture, ()
        match = _LAYER.match(name) if found is None else None
        found = match[1] if match else found
    if found is None:
        return architecture, ()
    defects = FileFindings(root)
    defects.add(
        "tensor-prefix",
        f"no tensor's name begins with {start}, those of the layers begin with {found or 'layers'}",
        expected=start,
        actual=found or "nothing before layers",
    )
    if not f".{found}".endswith(f".{_MODEL}"):
        return None, defects.findings()
    return replace(architecture, prefix=found.removesuffix(_MODEL)), defects.findings()


def check_pattern_prefix(architecture: Architecture, where: str) -> tuple[Finding, ...]:
    """A finding if the config's lists have another prefix of the layers than the tensors.

    Args:
        architecture: The architecture with the prefix of the tensors' names.
        where: Names the config.
    """
    start = architecture.prefix + _MODEL
    other = [prefix for prefix in architecture.pattern_prefixes if prefix != start]
    found = FileFindings(where)
    if other:
        found.add(
            "ignore-prefix",
            f"the lists of modules name {other[0]}layers, the tensors are in {start}layers: "
            "engines that compare whole names take other modules for quantised",
            at="quantization_config",
            expected=f"{start}layers",
            actual=f"{other[0]}layers",
        )
    return found.findings()


def reconcile(
    architecture: Architecture,
    observed: Observed | None,
    where: str,
    names: Callable[[], Iterable[str]],
    read_tensors: TensorReader,
) -> tuple[Architecture, tuple[Finding, ...]]:
    """The architecture with the real storage, and a finding if that is not the config's.

    Args:
        architecture: The architecture of the config.
        observed: The result of `observe`.
        where: Names the config.
        names: Gives the names of all tensors, if they are needed.
        read_tensors: Reads the tensors, if their shapes are needed.
    """
    expected = architecture.quantization
    if observed is None or not expected.is_known or _can_be(expected, observed):
        return architecture, ()
    stored = _observed_quantization(architecture, observed, names(), read_tensors())
    if stored is None:
        return architecture, ()
    found = FileFindings(where)
    if expected.is_plain:
        found.add(
            "quantization-undeclared",
            f"the weights are {stored.name}, and the config has no quantization_config",
            at="quantization_config",
            expected=stored.name,
            actual="nothing",
        )
    else:
        found.add(
            "quantization-mismatch",
            f"the config has {expected.name}, the weights are "
            f"{'not quantised' if stored.is_plain else stored.name}",
            at="quantization_config",
            expected=stored.name,
            actual=expected.name,
        )
    return replace(architecture, quantization=stored), found.findings()


def _can_be(expected: Quantization, observed: Observed) -> bool:
    """Whether one of the config's schemes has these tensors."""
    if not observed.module or expected.is_plain:
        return not observed.module and expected.is_plain
    return any(
        suffixes <= {tensor.suffix for tensor in SCHEMES[stored.scheme].tensors}
        for stored in expected.storages
        for suffixes in (observed.suffixes, observed.usual)
    )


def _observed_quantization(
    architecture: Architecture,
    observed: Observed,
    names: Iterable[str],
    tensors: Iterable[SafetensorsTensor],
) -> Quantization | None:
    """Groups of the modules that one storage can explain; None where no storage is known."""
    if not observed.module:
        return PLAIN
    forms = {
        _form(name.rpartition(".")[0]) for name in names if name.rpartition(".")[2] in _OF_SCHEME
    }
    modules = _expected_modules(architecture)
    groups: list[tuple[list[str], list[Storage]]] = []
    for form, found in _first_of_each(forms, tensors):
        module = modules.get(form.rpartition("layers.")[2])
        if module is not None:
            rows, columns = module.shape
            _join(groups, form, possible_storages(found, rows, columns))
    made = tuple(Group(possible[0], _patterns(members)) for members, possible in groups)
    return Quantization(labelled(made), made) if made else None


def _join(
    groups: list[tuple[list[str], list[Storage]]], form: str, possible: Iterable[Storage]
) -> None:
    """Add modules to the group that a common storage explains, or to a new one."""
    found = list(possible)
    for number, (members, common) in enumerate(groups):
        shared = [one for one in common if one in found]
        if shared:
            groups[number] = ([*members, form], shared)
            return
    if found:
        groups.append(([form], found))


def _first_of_each(
    forms: set[str], tensors: Iterable[SafetensorsTensor]
) -> Iterator[tuple[str, frozenset[FoundTensor]]]:
    """The tensors of the first module of each form."""
    first: dict[str, str] = {}
    found: dict[str, set[FoundTensor]] = {}
    for tensor in tensors:
        module, _, suffix = tensor.name.rpartition(".")
        form = _form(module)
        if form in forms and suffix in SUFFIXES and first.setdefault(form, module) == module:
            one = FoundTensor(suffix, (tensor.dtype,), (tensor.shape,))
            found.setdefault(form, set()).add(one)
    for form, seen in sorted(found.items()):
        yield form, frozenset(seen)


def _form(module: str) -> str:
    """A module's name with 0 in place of each number."""
    return _NUMBER.sub("0", module)


def _expected_modules(architecture: Architecture) -> Mapping[str, Module]:
    """Modules by form, from the layer's number on: the prefix may differ from the config's."""
    return {
        _form(f"{block.layer}.{name.rpartition('.')[0]}"): kind.module
        for block in expected_blocks(architecture)
        for name, kind in block.kinds.items()
        if block.layer is not None and kind.module is not None
    }


def _patterns(forms: Iterable[str]) -> ModulePatterns:
    return ModulePatterns(f"re:{re.escape(form).replace('0', '[0-9]+')}$" for form in forms)


def settle(
    architecture: Architecture | None, where: str
) -> tuple[Architecture | None, Comparison, tuple[Finding, ...]]:
    """The architecture, without patterns that take too long to match, and its comparison.

    Args:
        architecture: The architecture of the config, or None.
        where: Names the config.
    """
    comparison = Comparison(architecture)
    if architecture is None or not architecture.quantization.is_exhausted:
        return architecture, comparison, ()
    defects = FileFindings(where)
    quantization = without_patterns(architecture.quantization, defects)
    architecture = replace(architecture, quantization=quantization)
    return architecture, Comparison(architecture), defects.findings()


@dataclass(frozen=True, slots=True)
class CheckpointContents:
    """A checkpoint before its tensors are compared, as unchanging values.

    Attributes:
        source: The files.
        root: Names the folder in findings.
        index: Its index, if it could be read.
        index_findings: Faults of the index itself.
        shards: The files to read.
        observed: The quantised module, recognised by names of tensors; None where they show none.
    """

    source: Source
    root: str
    index: WeightIndex | None
    index_findings: tuple[Finding, ...]
    shards: Shards
    observed: Observed | None

    @property
    def names(self) -> Iterable[str]:
        """The tensors' names: from the index, or from the shards, read during the iteration."""
        return self.stored_names if self.index is None else self.index.weight_map

    @property
    def stored_names(self) -> Iterator[str]:
        """The tensors' names from the shards, which are read during the iteration."""
        return (tensor.name for tensor in self.tensors)

    @property
    def tensors(self) -> Iterator[SafetensorsTensor]:
        """The tensors of the shards, which are read during the iteration."""
        for name in self.shards.present:
            yield from read_header(self.source, name).tensors

    @property
    def is_part(self) -> bool:
        """Whether the user named one shard of a set, without the rest of the set."""
        return self.root != self.source.name and any(map(is_numbered, self.shards.present))


def read_contents(source: Source) -> CheckpointContents:
    """Read the index, choose the shards, and observe how the weights are stored."""
    index, findings = _read_index(source)
    root = root_of(source)
    shards = find_shards(root, source.files, index, has_index=INDEX_FILE in source.files)
    contents = CheckpointContents(source, root, index, findings, shards, None)
    return replace(contents, observed=observe(contents.names))


def _read_index(source: Source) -> tuple[WeightIndex | None, tuple[Finding, ...]]:
    if INDEX_FILE not in source.files:
        return None, ()
    try:
        with source.open(INDEX_FILE) as file:
            return read_index(file, is_remote=source.is_remote)
    except FileRefusedError as refusal:
        return None, (refusal.finding,)


def read_header(source: Source, name: str, sampler: Sampler | None = None) -> SafetensorsHeader:
    """Read a shard's header.

    Args:
        source: The files.
        name: The name of the shard.
        sampler: Samples the shard's data while it is open.
    """
    opening, path = source.open(name), f"{source.name}/{name}"
    if sampler is None:
        return read_safetensors_from(opening, path)
    from k2compat.checkpoint.safetensors_files.second_opinion import look_deeper  # --deep alone

    return read_safetensors_from(opening, path, partial(look_deeper, sampler))
