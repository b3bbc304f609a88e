"""The sample GGUF, taken apart, changed and put together again: one defect at a time."""

import struct
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from k2compat.checkpoint.gguf_files.header import GgufArray, GgufHeader, parse_gguf, read_gguf
from k2compat.checkpoint.gguf_files.types import TENSOR_TYPES, VALUE_TYPES
from k2compat.samples import write_gguf
from tests.checkpoint.gguf_files.gguf_bytes import F32, Bytes, Tensor

B = Bytes()
ALIGNMENT = 32
TYPE_IDS = {value_type.name: type_id for type_id, value_type in VALUE_TYPES.items()}
ARCH = "deepseek2."


@dataclass
class Model:
    """A GGUF as tables: every key with type and value, every tensor with shape and type.

    The tensors' data are zeros; engines do not look at them when they load.
    """

    metadata: dict[str, tuple[str, Any]] = field(default_factory=dict)
    tensors: dict[str, tuple[tuple[int, ...], int]] = field(default_factory=dict)

    def set(self, key: str, value: Any, value_type: str = "uint32") -> Self:
        self.metadata[key] = (value_type, value)
        return self

    def without(self, *names: str) -> Self:
        for name in names:
            assert name in self.metadata or name in self.tensors, name
            self.metadata.pop(name, None)
            self.tensors.pop(name, None)
        return self

    def shape(self, name: str, *dimensions: int) -> Self:
        self.tensors[name] = (dimensions, self.tensors[name][1])
        return self

    def add(self, name: str, *dimensions: int, type_id: int = F32) -> Self:
        self.tensors[name] = (dimensions, type_id)
        return self

    def type(self, name: str, type_id: int) -> Self:
        self.tensors[name] = (self.tensors[name][0], type_id)
        return self

    def resize(self, old: int, new: int, *parts: str) -> Self:
        """Give the tensors whose name holds one of the parts another last dimension."""
        for name, (dimensions, type_id) in self.tensors.items():
            if dimensions[-1] == old and any(part in name for part in parts):
                self.tensors[name] = ((*dimensions[:-1], new), type_id)
        return self

    def rename(self, old: str, new: str) -> Self:
        self.tensors[new] = self.tensors.pop(old)
        return self

    def subset(self, names: list[str]) -> "Model":
        """A model with some of the tensors and no metadata, as the later files of a set."""
        return Model({}, {name: self.tensors[name] for name in names})

    def content(self) -> bytes:
        header, data = self.parts()
        return header + bytes(data)

    def keys(self) -> list[bytes]:
        """The metadata, encoded."""
        return [
            B.key(key, TYPE_IDS[value_type], _value(value_type, value))
            for key, (value_type, value) in self.metadata.items()
        ]

    def entries(self) -> tuple[list[Tensor], int]:
        """The tensors' entries, and how many bytes of data they call for."""
        entries, offset = [], 0
        for name, (dimensions, type_id) in self.tensors.items():
            entries.append(Tensor(name, dimensions, type_id, offset))
            known = TENSOR_TYPES[type_id]
            size = prod(dimensions) // known.block_elements * known.block_bytes
            offset += size + -size % ALIGNMENT
        return entries, offset

    def parts(self) -> tuple[bytes, int]:
        """The header with its padding, and how many bytes of data follow."""
        entries, size = self.entries()
        return B.file(self.keys(), entries), size

    def write(self, path: Path) -> Path:
        """Write the file; its zeros take no place on the disk."""
        path.parent.mkdir(parents=True, exist_ok=True)
        header, data = self.parts()
        with path.open("wb") as file:
            file.write(header)
            file.truncate(len(header) + data)
        return path

    def split(self, count: int = 2) -> list["Model"]:
        """The model as a set of files, as llama-gguf-split makes it: metadata in the first."""
        names = list(self.tensors)
        share = -(-len(names) // count)
        members = []
        for number in range(count):
            part = self.subset(names[number * share : (number + 1) * share])
            if number == 0:
                part.metadata = dict(self.metadata)
            part.set("split.no", number, "uint16").set("split.count", count, "uint16")
            members.append(part.set("split.tensors.count", len(names), "int32"))
        return members

    def header(self, path: str = "model.gguf") -> GgufHeader:
        content, data = self.parts()
        header = parse_gguf(content, path=path, file_size=len(content) + data)
        assert header is not None
        return header


def _value(value_type: str, value: Any) -> bytes:
    if value_type == "string":
        return B.string(value)
    if value_type == "array":
        element_type, elements = value
        encoded = b"".join(_value(element_type, element) for element in elements)
        return B.array(TYPE_IDS[element_type], len(elements), encoded)
    code = {known.name: known.code for known in VALUE_TYPES.values()}[value_type]
    return struct.pack(f"<{code}", value)


def tiny(*, joint_mla: bool = False) -> Model:
    """The sample model, to be changed at will."""
    header = _sample(joint_mla)
    metadata: dict[str, tuple[str, Any]] = {}
    for key, value in header.metadata.items():
        plain = (value.element_type, list(value)) if isinstance(value, GgufArray) else value
        metadata[key] = (header.value_types[key], plain)
    tensors = {tensor.name: (tensor.dimensions, tensor.type_id) for tensor in header.tensors}
    return Model(metadata, tensors)


@cache
def _sample(joint_mla: bool) -> GgufHeader:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write_gguf(path, joint_mla=joint_mla)
        return read_gguf(path)
