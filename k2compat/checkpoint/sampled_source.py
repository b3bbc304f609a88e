"""A source that samples the data of each file of weights when its header has been read.

Whoever judges headers opens each file once; the sample is taken before the file is closed, so
that nothing is opened or fetched twice, and done and total count both at once.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from k2compat.checkpoint.gguf_files.header import read_gguf_from
from k2compat.checkpoint.reporting.alike import fold_by_code
from k2compat.checkpoint.safetensors_files.header import read_safetensors_from
from k2compat.checkpoint.sampling.samples import (
    LOCAL,
    REMOTE,
    Sample,
    SampledTensor,
    sample_tensors,
)
from k2compat.checkpoint.sources.source import ReadableFile, Source
from k2compat.findings import Finding


class SampledSource:
    """The files of another source, each sampled the first time that it is opened.

    Attributes:
        name: The other source's.
        files: The other source's.
        linked_folders: The other source's.
        is_remote: The other source's.
        sample: Of all files so far.
    """

    def __init__(self, source: Source) -> None:
        """Take a source; of a repo on the Hub less is sampled, for each place is a request."""
        self.name = source.name
        self.files: Mapping[str, int | None] = source.files
        self.linked_folders = source.linked_folders
        self.is_remote = source.is_remote
        self.sample = Sample()
        self._source = source
        self._budget = REMOTE if source.is_remote else LOCAL
        self._sampled: set[str] = set()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the samples tell; what many files have in common as one finding."""
        return fold_by_code(self.name, self.sample.findings)

    def open(self, relative: str) -> AbstractContextManager[ReadableFile]:
        """Open one of the files; when it is closed without an error, it is sampled.

        Raises:
            FileRefusedError: As the other source does.
            HubError: As the other source does.
        """
        return self._open(relative)

    @contextmanager
    def _open(self, relative: str) -> Iterator[ReadableFile]:
        with self._source.open(relative) as file:
            yield file
            if relative not in self._sampled:
                self._sampled.add(relative)
                self.sample += self._sample(relative, file)

    def _sample(self, relative: str, file: ReadableFile) -> Sample:
        path = str(file.path)
        if relative.endswith(".safetensors"):
            header = read_safetensors_from(nullcontext(file), path)
            start = header.data_start
            tensors = (
                SampledTensor(
                    tensor.name, tensor.dtype, start + tensor.start, tensor.end - tensor.start
                )
                for tensor in header.tensors
            )
            return sample_tensors(file, tensors, budget=self._budget)
        if relative.endswith(".gguf"):
            gguf = read_gguf_from(nullcontext(file), path)
            tensors = (
                SampledTensor(
                    tensor.name, tensor.type_name, tensor.start, tensor.end - tensor.start
                )
                for tensor in gguf.tensors
                if tensor.end is not None
            )
            return sample_tensors(file, tensors, byte_order=gguf.byte_order, budget=self._budget)
        return Sample()
