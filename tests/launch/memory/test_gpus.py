"""The memory of a GPU, by its name or as a number."""

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.memory.gpus import gpu_memory_gib, gpu_names


@pytest.mark.parametrize(
    ("name", "gib"),
    [("h200", 140.4), ("h20", 95.6), ("h100", 79.6), ("h800", 79.6), ("b200", 179.1)],
)
def test_as_the_driver_shows_it(name: str, gib: float) -> None:
    assert round(gpu_memory_gib(name), 1) == gib


@pytest.mark.parametrize("name", ["H200", "NVIDIA H200", "h200-141g", " h200 ", "nvidia_h200"])
def test_names_people_write(name: str) -> None:
    assert gpu_memory_gib(name) == gpu_memory_gib("h200")


@pytest.mark.parametrize(("number", "gib"), [("141", 141.0), ("95.6", 95.6)])
def test_a_number_is_gib(number: str, gib: float) -> None:
    assert gpu_memory_gib(number) == gib


@pytest.mark.parametrize("name", ["h300", "", "0", "-80", "nan", "inf", "81559", "Ascend 910B"])
def test_an_unknown_gpu_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(RefusedError) as refused:
        gpu_memory_gib(name)
    assert refused.value.code == "unknown-gpu"
    assert all(known in refused.value.hint for known in gpu_names())


def test_the_hint_names_the_nearest() -> None:
    with pytest.raises(RefusedError) as refused:
        gpu_memory_gib("h2000")
    assert "Did you mean h200?" in refused.value.hint


def test_every_gpu_of_the_table_has_a_plausible_memory() -> None:
    assert all(79 < gpu_memory_gib(name) < 300 for name in gpu_names())


def test_a_size_with_its_unit_is_gib_and_gb_is_taken_for_no_gpu() -> None:
    assert gpu_memory_gib("140.4GiB") == gpu_memory_gib("140.4")
    with pytest.raises(RefusedError) as caught:
        gpu_memory_gib("141GB")
    assert "mean" not in caught.value.hint
