"""Comparison of the stored tensors with those that the config requires, shard by shard.

    shard ──▶ add ──▶ counts, deviations        nothing else of a shard is kept
                          │
    expected blocks ──────┴──▶ finish ──▶ deviations, missing tensors included

For a tensor that is as expected, only its name is removed from its block's list.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from k2compat.checkpoint.model import (
    TEXT_LAYERS,
    VISION_LAYERS,
    Architecture,
    Block,
    Kind,
    expected_blocks,
    model_elements,
)
from k2compat.checkpoint.reporting import StoredPart
from k2compat.checkpoint.safetensors_files.deviations import Deviation, TensorDeviation
from k2compat.checkpoint.safetensors_files.header import SafetensorsTensor

REQUIRED = ("required", "vision", "mtp")
UNIFORM = "uniform"
_NOT_EXPECTED = "tensors that the config does not call for"


class UnseenTensors:
    """A block, and the names in it that have not been seen.

    The names of a layer take half a megabyte as a set. The set is made for the first tensor of
    the layer, and again once most names are seen, since a set does not shrink.

    Attributes:
        block: The block.
        explained: Names that were not seen, but whose module has a deviation as the reason.
    """

    __slots__ = ("_unseen", "block", "explained")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.explained: set[str] = set()
        self._unseen: set[str] | None = None

    @property
    def unseen(self) -> set[str]:
        """Names that have not been seen yet; seen names are removed."""
        if self._unseen is None:
            self._unseen = set(self.block.kinds)
        return self._unseen

    @property
    def is_untouched(self) -> bool:
        """Whether no tensor of the block was seen."""
        return self._unseen is None or len(self._unseen) == len(self.block.kinds)

    def shrink(self) -> None:
        """Free memory if most names were seen."""
        if self._unseen is not None and len(self._unseen) * 4 < len(self.block.kinds):
            self._unseen = set(self._unseen)


class Comparison:
    """The tensors of one checkpoint against an architecture; without one they are counted.

    Attributes:
        tensors: The number of tensors seen so far.
        elements: Their elements.
        unjudged: How many tensors no rule describes.
        bytes: The bytes of their data.
        deviations: Deviations of the tensors seen.
    """

    def __init__(self, architecture: Architecture | None) -> None:
        """Take the architecture of the config."""
        self.tensors = 0
        self.elements = 0
        self.unjudged = 0
        self._other_model_elements = 0  # of tensors that differ from their rule
        self.bytes = 0
        self.deviations: list[TensorDeviation] = []
        self._architecture = architecture
        self._bits = None if architecture is None else architecture.quantization.bits
        self._names: set[str] = set()  # only where nothing else would find a repeated name
        self._blocks: dict[str, UnseenTensors] = {}
        self._lists: tuple[str, ...] = ()
        self._uniform: dict[int, list[str]] = {}  # by the table of kinds, which layers share
        # By scheme: what is stored, less what the config gives for the names that were seen.
        self._further_tensors: Counter[str] = Counter()
        self._further_bytes: Counter[str] = Counter()
        if architecture is not None:
            self._lists = (architecture.prefix + TEXT_LAYERS, VISION_LAYERS)
            for block in expected_blocks(architecture):
                self._blocks[block.prefix] = UnseenTensors(block)

    def add(self, shard: str, tensors: Iterable[SafetensorsTensor]) -> None:
        """Take the tensors of one shard.

        Args:
            shard: The file's path within the checkpoint.
            tensors: Each name at most once.
        """
        prefix, cut = "", 0
        layer: int | None = None
        kinds: Mapping[str, Kind] = {}
        unseen: set[str] = set()
        touched: dict[str, UnseenTensors] = {}
        count, held, elements = 0, 0, 0
        for tensor in tensors:
            name, dtype, shape, start, end = tensor
            # Neighbours nearly always belong to one layer.
            if not cut or not name.startswith(prefix):
                prefix = self._prefix_of(name)
                cut = len(prefix)
                opened = self._blocks.get(prefix)
                if opened is not None:
                    touched[prefix] = opened
                kinds, unseen, layer = (
                    ({}, set(), _layer(prefix))
                    if opened is None
                    else (opened.block.kinds, opened.unseen, opened.block.layer)
                )
            rest = name[cut:] if cut else name
            count += 1
            held += end - start
            kind = kinds.get(rest)
            if kind is None:
                elements += tensor.elements
                self._other_model_elements += self._model_elements(tensor)
                self._add_unexpected(shard, tensor, rest, layer, kinds, unseen)
                continue
            if rest in unseen:
                unseen.remove(rest)
            else:
                self._note_duplicate(tensor, kind, layer, shard)
            if shape == kind.shape and end - start == kind.bytes and dtype in kind.dtypes:
                elements += kind.elements
            else:
                elements += self._take_unusual(tensor, kind, layer, shard)
        for opened in touched.values():
            opened.shrink()
        self.tensors += count
        self.bytes += held
        self.elements += elements

    def _take_unusual(
        self, tensor: SafetensorsTensor, kind: Kind, layer: int | None, shard: str
    ) -> int:
        """Judge a tensor of an unusual shape, dtype or size; returns its elements."""
        self._further_bytes[kind.stored_as] += tensor.end - tensor.start - kind.bytes
        if tensor.shape != kind.shape and tensor.shape not in kind.other_shapes:
            self._other_model_elements -= kind.model_elements
            self._other_model_elements += self._model_elements(tensor)
            self._note_shape(tensor, kind, layer, shard)
        if tensor.dtype not in kind.dtypes:
            self._note_dtype(tensor, kind, layer, shard)
        return tensor.elements

    def _note_duplicate(
        self, tensor: SafetensorsTensor, kind: Kind, layer: int | None, shard: str
    ) -> None:
        self._further_tensors[kind.stored_as] += 1
        self._further_bytes[kind.stored_as] += kind.bytes
        self._note(Deviation.DUPLICATE, tensor, layer, kind.part, shard)

    def _model_elements(self, tensor: SafetensorsTensor) -> int:
        """The model's parameters in a tensor without a rule, or one that differs from its rule."""
        return model_elements(tensor.name, tensor.dtype, tensor.elements, self._bits)

    @property
    def model_elements(self) -> int:
        """The model's own parameters in all tensors seen; one in several shards counts once."""
        # Summed here, not in `add`, which is entered 139,644 times for Kimi-K2.
        sums: dict[int, int] = {}  # layers alike share a table
        total = self._other_model_elements
        for opened in self._blocks.values():
            kinds = opened.block.kinds
            if id(kinds) not in sums:
                sums[id(kinds)] = sum(kind.model_elements for kind in kinds.values())
            unseen = sum(kinds[rest].model_elements for rest in opened.unseen)
            total += sums[id(kinds)] - unseen
        return total

    def stored_parts(self) -> tuple[StoredPart, ...]:
        """The tensors that were judged, by the scheme that the config gives them."""
        counts = Counter(self._further_tensors)
        sizes = Counter(self._further_bytes)
        tables: dict[int, tuple[Counter[str], Counter[str]]] = {}  # layers alike share one
        for opened in self._blocks.values():
            if opened.is_untouched:
                continue
            kinds = opened.block.kinds
            if id(kinds) not in tables:
                tables[id(kinds)] = _stored(kinds.values())
            unseen = _stored(kinds[rest] for rest in opened.unseen)
            for total, of_block, absent in zip(
                (counts, sizes), tables[id(kinds)], unseen, strict=True
            ):
                total.update(of_block)
                total.subtract(absent)
        return tuple(
            StoredPart(name, count, sizes[name])
            for name, count in counts.most_common()
            if name and count
        )

    def mark_unreadable(self, names: Iterable[str]) -> None:
        """Take names whose entries are too damaged to be read: they are not missing."""
        for name in names:
            prefix = self._prefix_of(name)
            opened = self._blocks.get(prefix)
            rest = name[len(prefix) :]
            if opened is not None and rest in opened.unseen:
                opened.unseen.remove(rest)
                kind = opened.block.kinds[rest]
                self._other_model_elements -= kind.model_elements
                self._further_tensors[kind.stored_as] -= 1
                self._further_bytes[kind.stored_as] -= kind.bytes

    def finish(self) -> Iterator[tuple[Block, list[str]]]:
        """The missing tensors: blocks with their required names that were not seen."""
        partly = self._partly_seen()
        for opened in self._blocks.values():
            kinds = opened.block.kinds
            missing = [
                rest
                for rest in opened.unseen - opened.explained
                if kinds[rest].necessity in REQUIRED or _form(rest) in partly
            ]
            if missing:
                order = {rest: number for number, rest in enumerate(kinds)}
                yield opened.block, sorted(missing, key=order.__getitem__)

    def _partly_seen(self) -> set[str]:
        """The forms of those uniform tensors of which some were seen."""
        found: set[str] = set()
        for opened in self._blocks.values():
            if id(opened.block.kinds) not in self._uniform:
                self._uniform[id(opened.block.kinds)] = [
                    rest for rest, kind in opened.block.kinds.items() if kind.necessity == UNIFORM
                ]
            uniform = self._uniform[id(opened.block.kinds)]
            found.update(_form(rest) for rest in uniform if rest not in opened.unseen)
        return found

    def blocks(self) -> Iterable[UnseenTensors]:
        """Every block, with its names that were not seen."""
        return self._blocks.values()

    def block_of(self, name: str) -> UnseenTensors | None:
        """The block that a tensor's name belongs to."""
        return self._blocks.get(self._prefix_of(name))

    def count(self, necessity: str) -> int:
        """How many tensors are expected of one necessity."""
        return sum(
            kind.necessity == necessity
            for opened in self._blocks.values()
            for kind in opened.block.kinds.values()
        )

    def is_untouched(self, block: Block) -> bool:
        """Whether no tensor of a block was seen."""
        return self._blocks[block.prefix].is_untouched

    def _prefix_of(self, name: str) -> str:
        """The prefix of a tensor's layer, with the last dot; "" outside layers."""
        for start in self._lists:
            if name.startswith(start):
                end = name.find(".", len(start)) + 1
                return name[:end] if name[len(start) : end - 1].isdecimal() else ""
        return ""

    def _add_unexpected(
        self,
        shard: str,
        tensor: SafetensorsTensor,
        rest: str,
        layer: int | None,
        kinds: Mapping[str, Kind],
        unseen: set[str],
    ) -> None:
        """Take a tensor whose name is in no rule."""
        if tensor.name in self._names:
            self._note_unexpected(Deviation.DUPLICATE, tensor, layer, shard)
            return
        self._names.add(tensor.name)
        if self._architecture is None:
            self.unjudged += 1
            return
        if not self._architecture.quantization.is_known:
            # Any tensor of a quantised module, and scales of the KV cache.
            module = rest.rpartition(".")[0]
            if module in kinds:
                unseen.discard(module)
                self.unjudged += 1
                return
            if rest.endswith("_scale"):
                self.unjudged += 1
                return
        self._note_unexpected(Deviation.UNEXPECTED, tensor, layer, shard)

    def _note_unexpected(
        self, deviation: Deviation, tensor: SafetensorsTensor, layer: int | None, shard: str
    ) -> None:
        self._further_tensors[_NOT_EXPECTED] += 1
        self._further_bytes[_NOT_EXPECTED] += tensor.end - tensor.start
        self._note(deviation, tensor, layer, "", shard)

    def _note_shape(
        self, tensor: SafetensorsTensor, kind: Kind, layer: int | None, shard: str
    ) -> None:
        if kind.shape is None:
            self.unjudged += 1
        if kind.shape is None or kind.necessity == "legacy":
            return
        if kind.is_scale:
            deviation = Deviation.SCALE_SHAPE
        elif len(kind.shape) > 1 and tensor.shape == kind.shape[::-1]:
            deviation = Deviation.TRANSPOSED
        else:
            deviation = Deviation.SHAPE
        self._note(
            deviation,
            tensor,
            layer,
            kind.part,
            shard,
            _shown(kind.shape),
            _shown(tensor.shape),
        )

    def _note_dtype(
        self, tensor: SafetensorsTensor, kind: Kind, layer: int | None, shard: str
    ) -> None:
        if not kind.dtypes or kind.necessity == "legacy":
            return
        deviation = Deviation.PRECISION if tensor.dtype in kind.weaker else Deviation.DTYPE
        expected = " or ".join(kind.dtypes)
        self._note(deviation, tensor, layer, kind.part, shard, expected, tensor.dtype)

    def _note(
        self,
        deviation: Deviation,
        tensor: SafetensorsTensor,
        layer: int | None,
        part: str,
        shard: str | None,
        expected: str = "",
        actual: str = "",
    ) -> None:
        self.deviations.append(
            TensorDeviation(
                deviation,
                tensor.name,
                layer,
                part,
                shard,
                expected,
                actual,
                tensor.dtype,
                tensor.shape,
            )
        )


def _stored(kinds: Iterable[Kind]) -> tuple[Counter[str], Counter[str]]:
    """How many tensors each scheme stores, and their bytes."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for kind in kinds:
        counts[kind.stored_as] += 1
        sizes[kind.stored_as] += kind.bytes
    return counts, sizes


def _form(rest: str) -> str:
    """A module and its tensor, "up_proj.pre_quant_scale", without its layer and MLP."""
    return ".".join(rest.split(".")[-2:])


@lru_cache(maxsize=1024)
def _shown(shape: tuple[int, ...]) -> str:
    """A shape as text, one object for all tensors that have it: there can be a hundred thousand."""
    return str(list(shape))


def _layer(prefix: str) -> int | None:
    number = prefix.rstrip(".").rpartition(".")[2]
    return int(number) if number.isdecimal() and len(number) < 10 else None
