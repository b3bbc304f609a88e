"""How often shards are read, and what is kept of the index meanwhile."""

import gc
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from k2compat.checkpoint import validate
from k2compat.checkpoint.safetensors_files.contents import observe
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE, WeightIndex
from k2compat.samples import VARIANTS, tiny_config
from tests.checkpoint.validations import codes
from tests.support.memory_source import MemoryFile, MemorySource, memory_source

STORED = [variant for variant in VARIANTS if variant != "bf16"]


class CountingSource(MemorySource):
    """Counts how often each file is opened."""

    opened: Counter[str]

    @contextmanager
    def open(self, relative: str) -> Iterator[MemoryFile]:
        self.opened[relative] += 1
        with super().open(relative) as file:
            yield file


def wrong_shapes(variant: str) -> CountingSource:
    """Every tensor of a checkpoint has another shape than its config gives."""
    source = memory_source(tiny_config(variant))
    config = tiny_config(variant)
    sizes = config.get("text_config", config)
    sizes |= {"hidden_size": sizes["hidden_size"] * 2, "moe_intermediate_size": 512}
    data = json.dumps(config).encode()
    source.contents["config.json"] = (data, len(data))
    counting = CountingSource("model", source.contents)
    counting.opened = Counter()
    return counting


@pytest.mark.sample(5)
@pytest.mark.parametrize("variant", STORED)
def test_an_index_that_is_right_is_not_doubted(variant: str) -> None:
    """Shards are read once for the tensors, and up to the first quantised module for doubt."""
    source = wrong_shapes(variant)
    assert any(code.startswith(("tensor-", "quantization-")) for code in codes(validate(source)))
    shards = [count for name, count in source.opened.items() if name.endswith(".safetensors")]
    assert shards.count(1) >= len(shards) - 2


def test_the_index_is_released_before_the_shards_are_read() -> None:
    """Its names take 20 MiB of a Kimi-K2, next to a report that may name each tensor."""
    alive: list[int] = []

    def count(_done: int, _total: int) -> None:
        alive.append(sum(isinstance(each, WeightIndex) for each in gc.get_objects()))

    validate(memory_source(tiny_config("fp8")), progress=count)
    assert set(alive) == {0}


@pytest.mark.parametrize("variant", STORED)
def test_names_of_an_index_and_of_shards_show_the_same(variant: str) -> None:
    source = memory_source(tiny_config(variant))
    names = json.loads(source.contents[INDEX_FILE][0])["weight_map"]
    expected = observe(names)
    assert expected is not None
    assert expected.module
    for order in (sorted(names), sorted(names, reverse=True), list(names)):
        observed = observe(iter(order))
        assert observed is not None
        module = observed.module
        of_index = observe({name: "" for name in names if name.startswith(f"{module}.")})
        assert of_index is not None
        assert observed.suffixes == of_index.suffixes
