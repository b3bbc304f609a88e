"""Comparison of each GGUF with its own metadata, and with the original model's config.

    headers ──▶ sets ──▶ metadata ──▶ sizes ──▶ expected tensors ──▶ findings
                            └──────── config ─────────┘

A set is all files of one model. Every engine but KTransformers reads a model's metadata from
its first file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from k2compat.checkpoint.gguf_files.against_config import check_config, family_member
from k2compat.checkpoint.gguf_files.behaviour import check_behaviour
from k2compat.checkpoint.gguf_files.header import GgufHeader
from k2compat.checkpoint.gguf_files.metadata import (
    Metadata,
    check_values,
    has_split_mla,
    read_sizes,
)
from k2compat.checkpoint.gguf_files.rules import deepseek2
from k2compat.checkpoint.gguf_files.split_sets import GgufSet, check_gguf_sets, group_gguf_files
from k2compat.checkpoint.gguf_files.tensors import EMBEDDING, Stored, TensorComparison, layout_of
from k2compat.checkpoint.gguf_files.vocabulary import check_vocabulary, token_count
from k2compat.checkpoint.reporting import FileFindings
from k2compat.findings import Finding
from k2compat.printable import shortened

ARCHITECTURE_KEY = "general.architecture"
PROJECTOR = "clip"
"""The architecture of a vision projector (mmproj), which belongs to another model file."""

IMPORTANCE_MATRIX = "imatrix"
"""The key for a file without an architecture in the table of other architectures."""


@dataclass(frozen=True, slots=True)
class GgufComparison:
    """The results for the GGUFs of one place.

    Attributes:
        findings: All faults of the files' sets, metadata and tensors. Faults within a header are
            in the header's own findings, not here.
        variant: "kimi_k2 Q4_K, split MLA"; None where no file is a deepseek2 model.
        tensors: The number of tensors in all files.
        judged: How many of them were compared with a rule.
        parameters: Elements of all these tensors.
    """

    findings: tuple[Finding, ...]
    variant: str | None
    tensors: int
    judged: int
    parameters: int


def compare_gguf(
    headers: Mapping[str, GgufHeader], config: Mapping[str, Any] | None = None
) -> GgufComparison:
    """Compare GGUFs with themselves and with the original model's config.

    Args:
        headers: Path → header, of every GGUF of a folder, or of one file. A set's other
            members count as missing where they are not among them.
        config: Members of the original config.json; None to go by the metadata alone.

    Returns:
        The results. No content of a header or a config raises.
    """
    findings = list(check_gguf_sets(headers, headers))
    models = [_Model(gguf_set, headers) for gguf_set in group_gguf_files(headers)]
    has_model = any(model.architecture == deepseek2().architecture for model in models)
    for model in models:
        if model.architecture == PROJECTOR and has_model:
            continue
        findings += model.findings(config)
    if headers and all(
        header.has_all_keys and not header.tensor_count for header in headers.values()
    ):
        first = next(iter(headers))
        defects = FileFindings(first)
        defects.add("weights-empty", "holds no tensors")
        findings += defects.findings()
    variants = (model.variant() for model in models)
    tensors = [tensor for header in headers.values() for tensor in header.tensors]
    return GgufComparison(
        findings=tuple(findings),
        variant=next((variant for variant in variants if variant), None),
        tensors=len(tensors),
        judged=sum(model.judged for model in models),
        parameters=sum(tensor.elements for tensor in tensors),
    )


class _Model:
    """The files of one set, taken together.

    Attributes:
        judged: How many of their tensors `findings` compared with a rule.
    """

    def __init__(self, gguf_set: GgufSet, headers: Mapping[str, GgufHeader]) -> None:
        self._members = [headers[name] for _, name in sorted(gguf_set.members.items())]
        self._complete = not any(True for _ in gguf_set.missing) and all(
            header.version and header.joined == 1 and len(header.tensors) == header.tensor_count
            for header in self._members
        )
        first = self._members[0]
        self._where = first.path
        self.judged = 0
        self._metadata = Metadata(first.metadata, first.value_types)
        self._is_matrix = first.is_importance_matrix
        self._has_metadata = 1 in gguf_set.members and first.has_all_keys
        self._stored = {
            tensor.name: Stored(tensor, header.path)
            for header in self._members
            for tensor in header.tensors
        }

    @property
    def architecture(self) -> object:
        if self._is_matrix:
            return IMPORTANCE_MATRIX
        return self._metadata.values.get(ARCHITECTURE_KEY)

    def findings(self, config: Mapping[str, Any] | None) -> Iterator[Finding]:
        """Faults of metadata and tensors; none where the metadata could not be read."""
        if not self._has_metadata:
            return
        defects = FileFindings(self._where)
        if self.architecture != deepseek2().architecture:
            _report_architecture(self.architecture, defects)
            yield from defects.findings()
            return
        split_mla = self._split_mla()
        sizes = read_sizes(self._metadata, defects, split_mla=split_mla)
        embedding = self._stored.get(EMBEDDING)
        rows = embedding.tensor.dimensions[1:2] if embedding else ()
        vocabulary = rows[0] if rows else token_count(self._metadata)
        if vocabulary is not None:
            sizes["vocabulary"] = vocabulary
        check_values(self._metadata, sizes, defects, split_mla=split_mla)
        check_vocabulary(self._metadata, rows[0] if rows else None, defects)
        if config is not None:
            check_config(self._metadata, sizes, config, defects)
        check_behaviour(self._metadata, self._stored, sizes.get("layers", 0), config, defects)
        yield from defects.findings()
        if "layers" in sizes:
            self.judged = sum(len(header.tensors) for header in self._members)
            yield from self._tensor_findings(sizes, split_mla=split_mla)

    def variant(self) -> str | None:
        """Family member, the type of most bytes, and the MLA generation."""
        if self.architecture != deepseek2().architecture:
            return None
        size: Counter[str] = Counter()
        for stored in self._stored.values():
            tensor = stored.tensor
            size[tensor.type_name] += (tensor.end or tensor.start) - tensor.start
        model = family_member(self._metadata) or deepseek2().architecture
        generation = "split" if self._split_mla() else "joint"
        quantization = f" {size.most_common(1)[0][0]}" if size else ""
        return f"{model}{quantization}, {generation} MLA"

    def _split_mla(self) -> bool:
        """Whether MLA is split: by the _mla keys as in llama.cpp, or else by the tensors."""
        if has_split_mla(self._metadata):
            return True
        names = {name.rpartition("attn_")[2] for name in self._stored}
        return "k_b.weight" in names and "kv_b.weight" not in names

    def _tensor_findings(self, sizes: Mapping[str, int], *, split_mla: bool) -> Iterator[Finding]:
        layout = layout_of(self._stored, split_mla=split_mla)
        comparison = TensorComparison(self._stored, sizes, layout, self._where)
        if self._complete:
            comparison.check_missing()
        comparison.check_extra()
        comparison.check_shapes()
        comparison.check_types()
        for defects in comparison.findings():
            yield from defects.findings()


def _report_architecture(architecture: object, defects: FileFindings) -> None:
    if not isinstance(architecture, str):
        message = "the metadata do not say which architecture the model has"
        defects.add("gguf-architecture-missing", message, at=f"key {ARCHITECTURE_KEY}")
        return
    known = deepseek2().other_architectures.get(architecture)
    defects.add(
        "gguf-architecture-other",
        f"the model is {known or 'of the architecture ' + shortened(architecture)};"
        " its header was checked, its tensors were not",
        at=f"key {ARCHITECTURE_KEY}",
        expected=deepseek2().architecture,
        actual=architecture,
    )
