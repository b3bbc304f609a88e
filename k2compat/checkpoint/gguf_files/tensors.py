"""Comparison of the tensors of a deepseek2 GGUF with those that its own metadata require.

llama.cpp refuses a file with a missing or surplus tensor or a wrong shape, and stops later at types
that it cannot compute with. The same fault in many layers becomes one finding.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from k2compat.checkpoint.gguf_files.layout import GgufTensor
from k2compat.checkpoint.gguf_files.rules import (
    ExpectedGgufTensor,
    GgufLayout,
    TensorRule,
    deepseek2,
    expected_gguf_tensors,
)
from k2compat.checkpoint.reporting import FileFindings, named, ranges
from k2compat.numpy_memory import demand_memory_for_numpy
from k2compat.printable import counted, shortened

RANGES_SHOWN = 12
"""Ranges of layers in a place such as `blk.{0-2,5}`, which is shorter than a sentence."""


EMBEDDING = "token_embd.weight"
VOCABULARY = "vocabulary"
EXPERTS = "experts"

_LAYER = re.compile(r"blk\.(?P<layer>[0-9]{1,9})\.(?P<name>.+)", re.DOTALL)
_FUSED = "ffn_gate_up_exps.weight"
_MTP = "nextn.eh_proj.weight"


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor and its file."""

    tensor: GgufTensor
    path: str


def split_name(name: str) -> tuple[int | None, str]:
    """The layer of a tensor's name, None outside the layers, and what follows."""
    match = _LAYER.fullmatch(name)
    return (int(match["layer"]), match["name"]) if match else (None, name)


def layout_of(stored: Mapping[str, Stored], *, split_mla: bool) -> GgufLayout:
    """The choices that do not follow from the sizes, found by the names."""
    names = [split_name(name) for name in stored]
    fused = frozenset(layer for layer, rest in names if rest == _FUSED and layer is not None)
    return GgufLayout(split_mla, fused, mtp=any(rest == _MTP for _, rest in names))


class TensorComparison:
    """One model's tensors against its sizes. Each `check_…` notes findings about one thing."""

    def __init__(
        self, stored: Mapping[str, Stored], sizes: Mapping[str, int], layout: GgufLayout, where: str
    ) -> None:
        """Take the tensors by name, the sizes that are known and the file to name as a whole."""
        self._stored = stored
        self._sizes = sizes
        self._split_mla = layout.split_mla
        self._where = where
        self._defects: dict[str, FileFindings] = {}
        self.expected = {tensor.name: tensor for tensor in expected_gguf_tensors(sizes, layout)}

    def findings(self) -> Iterator[FileFindings]:
        """The findings, one `FileFindings` for each file."""
        yield from self._defects.values()

    def _in(self, path: str) -> FileFindings:
        return self._defects.setdefault(path, FileFindings(path))

    def check_missing(self) -> None:
        """Find tensors that no file holds. Only for a set whose files are all there and whole."""
        missing = [
            tensor
            for tensor in self.expected.values()
            if tensor.name not in self._stored and not tensor.rule.optional
        ]
        empty = self._empty_layers()
        if empty:
            self._in(self._where).add(
                "gguf-layer-missing",
                f"no tensor at all in {len(empty)} of {counted(self._sizes['layers'], 'layer')}",
                at=f"layers {_layers(empty)}",
                count=sum(tensor.layer in empty for tensor in missing),
                items=_items(tensor.name for tensor in missing if tensor.layer in empty),
            )
        rest = [tensor for tensor in missing if tensor.layer not in empty]
        for tensors in _by_rule(rest):
            self._in(self._where).add(
                "gguf-tensor-missing",
                f"{tensors[0].rule.name} is missing{_in_layers(tensors)}; it is made from "
                f"{_original(tensors)}",
                at=_at(tensors),
                count=len(tensors),
                items=_items(tensor.name for tensor in tensors),
                expected=_shape(tensors[0].dimensions),
            )

    def _empty_layers(self) -> frozenset[int]:
        held = {split_name(name)[0] for name in self._stored}
        called_for = {tensor.layer for tensor in self.expected.values() if tensor.layer is not None}
        return frozenset(called_for - held)

    def check_extra(self) -> None:
        """Find tensors that the metadata do not require."""
        extra: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name, stored in self._stored.items():
            if name not in self.expected:
                extra[self._why_extra(name), stored.path].append(name)
        for (code, path), names in extra.items():
            if code == "gguf-tensor-original-name":
                self._report_original_names(path, names)
            else:
                self._report_extra(code, path, names)

    def _report_extra(self, code: str, path: str, names: Sequence[str]) -> None:
        layers = {split_name(name)[0] for name in names} - {None}
        self._in(path).add(
            code,
            f"{_count(names)} that nothing calls for: {named(names)}",
            at=f"layers {_layers(layers)}" if len(layers) > 1 else f"tensor {shortened(names[0])}",
            count=len(names),
            items=_items(names),
        )

    def _why_extra(self, name: str) -> str:
        layer, rest = split_name(name)
        if layer is not None and layer >= self._sizes["layers"]:
            return "gguf-layer-extra"
        other_generation = "joint" if self._split_mla else "split"
        for rule in deepseek2().layer_tensors:
            if rule.name == rest and layer is not None and other_generation in rule.when:
                return "gguf-mla-both"
        if name.startswith(("model.", "lm_head.", "language_model.")):
            return "gguf-tensor-original-name"
        return "gguf-tensor-extra"

    def _report_original_names(self, path: str, names: Sequence[str]) -> None:
        first = shortened(names[0])
        mapped = _gguf_name(names[0], self._sizes["layers"])
        self._in(path).add(
            "gguf-tensor-original-name",
            f"{_count(names)} with a name of the original model",
            at=f"tensor {first}",
            count=len(names),
            items=_items(names),
            expected=mapped or "a name of GGUF's own",
            actual=names[0],
        )

    def check_shapes(self) -> None:
        """Find tensors of another shape; another number of experts everywhere is one finding."""
        wrong: defaultdict[tuple[TensorRule, tuple[int, ...], str], list[ExpectedGgufTensor]]
        wrong = defaultdict(list)
        for tensor, stored in self._pairs():
            if not _same_shape(tensor.dimensions, stored.tensor.dimensions):
                wrong[tensor.rule, stored.tensor.dimensions, stored.path].append(tensor)
        others: defaultdict[tuple[str, int], int] = defaultdict(int)
        for (_, actual, path), tensors in wrong.items():
            experts = _only_other(EXPERTS, tensors[0], actual)
            if experts is not None:
                others[path, experts] += len(tensors)
                continue
            self._in(path).add(
                "gguf-tensor-shape",
                f"{tensors[0].rule.name} has another shape than the metadata give it"
                f"{_in_layers(tensors)}",
                at=_at(tensors),
                count=len(tensors),
                items=_items(tensor.name for tensor in tensors),
                expected=_shape(tensors[0].dimensions),
                actual=_shape(actual),
            )
        for (path, experts), count in others.items():
            self._in(path).add(
                "gguf-expert-count",
                f"there are {counted(experts, 'expert')} in {counted(count, 'tensor')}, "
                "expert_count says otherwise",
                at="key deepseek2.expert_count",
                count=count,
                expected=f"{self._sizes['experts']:,}",
                actual=f"{experts:,}",
            )

    def check_types(self) -> None:
        """Find tensors of a type that the engine cannot compute with, or should not."""
        wrong: defaultdict[tuple[str, TensorRule, str, str], list[ExpectedGgufTensor]]
        wrong = defaultdict(list)
        for tensor, stored in self._pairs():
            code = _why_type(tensor.rule, stored.tensor.type_name)
            if code:
                key = code, tensor.rule, stored.tensor.type_name, stored.path
                wrong[key].append(tensor)
        for (code, rule, type_name, path), tensors in wrong.items():
            allowed = rule.types or rule.usual_types
            self._in(path).add(
                code,
                f"{rule.name} is of type {type_name}{_in_layers(tensors)}",
                at=_at(tensors),
                count=len(tensors),
                items=_items(tensor.name for tensor in tensors),
                expected=" or ".join(allowed) or "a type that can be multiplied",
                actual=type_name,
            )

    def _pairs(self) -> Iterator[tuple[ExpectedGgufTensor, Stored]]:
        for name, tensor in self.expected.items():
            stored = self._stored.get(name)
            if stored is not None:
                yield tensor, stored


def _why_type(rule: TensorRule, type_name: str) -> str | None:
    if rule.types:
        return None if type_name in rule.types else "gguf-tensor-not-f32"
    if type_name in deepseek2().types_without_product:
        return "gguf-tensor-unusable-type"
    if rule.usual_types and type_name not in rule.usual_types:
        return "gguf-router-quantised"
    return None


def _same_shape(expected: Sequence[int | None], actual: Sequence[int]) -> bool:
    """Whether shapes are equal for llama.cpp, apart from a 1 at the end and unknown sizes."""
    longest = max(len(expected), len(actual))
    return all(
        wanted is None or wanted == found
        for wanted, found in zip(_padded(expected, longest), _padded(actual, longest), strict=True)
    )


def _padded(dimensions: Sequence[int | None], length: int) -> list[int | None]:
    return [*dimensions, *[1] * (length - len(dimensions))]


def _only_other(size: object, tensor: ExpectedGgufTensor, actual: Sequence[int]) -> int | None:
    """The only dimension that differs, if it should have this size."""
    places = [place for place, dimension in enumerate(tensor.rule.shape) if dimension == size]
    if len(places) != 1 or len(actual) != len(tensor.dimensions):
        return None
    (place,) = places
    changed = [*tensor.dimensions]
    changed[place] = actual[place]
    return actual[place] if _same_shape(changed, actual) else None


def _gguf_name(original: str, layers: int) -> str | None:
    """The GGUF's name for a tensor of the original model, by the gguf package's tables."""
    demand_memory_for_numpy()
    import gguf  # 150 ms, and numpy

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.DEEPSEEK2, layers)
    return names.get_name(original, try_suffixes=(".weight", ".bias"))


def _by_rule(
    tensors: Iterable[ExpectedGgufTensor],
) -> Iterable[list[ExpectedGgufTensor]]:
    groups: defaultdict[TensorRule, list[ExpectedGgufTensor]] = defaultdict(list)
    for tensor in tensors:
        groups[tensor.rule].append(tensor)
    return groups.values()


def _at(tensors: Sequence[ExpectedGgufTensor]) -> str:
    """`tensor blk.3.attn_norm.weight`, or `tensors blk.{3-5,9}.attn_norm.weight` of several."""
    if len(tensors) == 1:
        return f"tensor {tensors[0].name}"
    layers = _layers({tensor.layer for tensor in tensors if tensor.layer is not None})
    return f"tensors blk.{{{layers}}}.{tensors[0].rule.name}"


def _in_layers(tensors: Sequence[ExpectedGgufTensor]) -> str:
    return "" if len(tensors) == 1 else f" in {counted(len(tensors), 'layer')}"


def _items(names: Iterable[str]) -> tuple[str, ...]:
    """The names of a finding about several tensors; a single name is the finding's place."""
    listed = tuple(names)
    return listed if len(listed) > 1 else ()


def _count(names: Sequence[str]) -> str:
    return "a tensor" if len(names) == 1 else counted(len(names), "tensor")


def _original(tensors: Sequence[ExpectedGgufTensor]) -> str:
    if len(tensors) == 1:
        return tensors[0].original
    return f"model.layers.N.{tensors[0].rule.original}"


def _shape(dimensions: Iterable[int | None]) -> str:
    return str(["?" if size is None else size for size in dimensions]).replace("'", "")


def _layers(numbers: Iterable[int | None]) -> str:
    """Layers as ranges, `0-2,5`; of many ranges the first ones."""
    found = ranges(number for number in numbers if number is not None)
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in found]
    return ",".join(shown[:RANGES_SHOWN]) + (",…" if len(shown) > RANGES_SHOWN else "")
