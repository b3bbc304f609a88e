"""The second consumer of each file of weights: it samples the data while the file is open."""

from collections.abc import Iterable

from k2compat.checkpoint.sampling.samples import (
    LOCAL,
    REMOTE,
    ByteOrder,
    Sample,
    SampledTensor,
    sample_tensors,
)
from k2compat.checkpoint.sources import ReadableFile
from k2compat.findings import Finding


class Sampler:
    """Samples file after file.

    Attributes:
        sample: The sum over all files so far.
    """

    def __init__(self, *, is_remote: bool) -> None:
        """Take the budget: on the Hub each place is a request, so fewer places are sampled."""
        self.sample = Sample()
        self._budget = REMOTE if is_remote else LOCAL

    def add(
        self,
        file: ReadableFile,
        tensors: Iterable[SampledTensor],
        byte_order: ByteOrder = "little",
    ) -> None:
        """Sample the tensors of a file that is open."""
        self.sample += sample_tensors(file, tensors, byte_order=byte_order, budget=self._budget)

    def note(self, findings: tuple[Finding, ...]) -> None:
        """Take findings of another check of a file."""
        self.sample += Sample(findings)
