"""The memory of a GPU, by its name or as a number."""

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.memory.gpus import (
    check_formats,
    gpu_facts,
    gpu_memory_gib,
    gpu_names,
    smallest_gpus,
)


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        *[("h200", 140.4), ("h20", 95.6), ("h100", 79.6), ("h800", 79.6), ("b200", 179.1)],
        *[("mi300x", 192.0), ("mi325x", 256.0), ("mi350x", 288.0), ("mi355x", 288.0)],
        *[("gb200", 185.0), ("gb300", 277.5), ("rtx pro 6000", 95.6), ("rtx-4090-48g", 48.0)],
        ("l20", 45.0),
    ],
)
def test_as_the_driver_shows_it(name: str, gib: float) -> None:
    assert round(gpu_memory_gib(name), 1) == gib


@pytest.mark.parametrize("name", ["H200", "NVIDIA H200", "h200-141g", " h200 ", "nvidia_h200"])
def test_names_people_write(name: str) -> None:
    assert gpu_memory_gib(name) == gpu_memory_gib("h200")


@pytest.mark.parametrize(("number", "gib"), [("141", 141.0), ("95.6", 95.6)])
def test_a_number_is_gib(number: str, gib: float) -> None:
    assert gpu_memory_gib(number) == gib


@pytest.mark.parametrize("name", ["h300", "", "0", "-80", "nan", "inf", "81559"])
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
    assert all(44 < gpu_memory_gib(name) < 300 for name in gpu_names())


def test_a_size_with_its_unit_is_gib_and_gb_is_taken_for_no_gpu() -> None:
    assert gpu_memory_gib("140.4GiB") == gpu_memory_gib("140.4")
    with pytest.raises(RefusedError) as caught:
        gpu_memory_gib("141GB")
    assert "mean" not in caught.value.hint


@pytest.mark.parametrize("name", ["Ascend 910B", "910C", "Atlas 800", "tpu-v6e", "Gaudi3"])
def test_other_accelerators_are_refused_with_the_reason(name: str) -> None:
    for ask in (gpu_memory_gib, gpu_facts):
        with pytest.raises(RefusedError) as refused:
            ask(name)
        assert refused.value.code == "gpu-not-supported"
        assert name in refused.value.message


def test_what_conditions_can_ask() -> None:
    assert gpu_facts("NVIDIA H20-96GB") == {"gpu=h20", "arch=hopper", "nvidia"}
    assert gpu_facts("mi355x") == {"gpu=mi355x", "arch=cdna4", "amd"}
    assert gpu_facts("141") == gpu_facts(None) == frozenset()
    assert next(iter(smallest_gpus())) == "l20"


@pytest.mark.parametrize(
    ("precision", "gpu", "weight_only", "expected"),
    [
        ("nvfp4", "h200", False, "format-not-supported"),
        ("nvfp4", "h200", True, "format-unpacked"),
        ("nvfp4", "mi355x", True, "format-not-supported"),
        ("nvfp4", "b300", False, ""),
        ("mxfp4", "mi300x", True, "format-not-supported"),
        ("mxfp4", "mi355x", False, ""),
        ("fp8", "a100", False, ""),
        ("nvfp4", "141", False, ""),
        ("nvfp4", None, False, ""),
    ],
)
def test_formats_need_gpus_that_have_them(
    precision: str, gpu: str | None, weight_only: bool, expected: str
) -> None:
    found = list(check_formats(precision, gpu, weight_only=weight_only))
    assert [each.code for each in found] == ([expected] if expected else [])
    if found:
        able = "mi355x" if precision == "mxfp4" else "b200"
        assert able in str(found[0].expected)
