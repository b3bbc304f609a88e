"""A hundred thousand odd tensors in a few sentences."""

from k2compat.checkpoint.safetensors_files.deviations import Deviation, TensorDeviation
from k2compat.checkpoint.safetensors_files.summary import group


def odd(layer: int | None, expert: int, shard: str | None, part: str = "expert") -> TensorDeviation:
    name = f"model.layers.{layer}.mlp.experts.{expert}.up_proj.weight"
    return TensorDeviation(Deviation.MISSING, name, layer, part, shard)


def messages(*tensors: TensorDeviation) -> list[str]:
    return [finding.message for finding in group("model", tensors)]


def test_layers_experts_and_shards_are_named_together() -> None:
    tensors = [odd(layer, 3, "a.safetensors") for layer in (12, 13, 14) for _ in range(12)]
    assert messages(*tensors) == [
        "layers 12–14, expert 3: 36 expert tensors missing, all in a.safetensors"
    ]


def test_one_tensor_is_named_at_its_place() -> None:
    (finding,) = group("model", [odd(1, 2, "a.safetensors")])
    assert finding.message == "layer 1, expert 2: 1 expert tensor missing, in a.safetensors"
    assert finding.where == (
        "model/a.safetensors: tensor model.layers.1.mlp.experts.2.up_proj.weight"
    )


def test_two_shards_by_name_more_by_number() -> None:
    two = messages(odd(1, 2, "a"), odd(2, 2, "b"))
    assert two == ["layers 1–2, expert 2: 2 expert tensors missing, in a and b"]
    three = messages(odd(1, 2, "a"), odd(2, 2, "b"), odd(3, 2, "c"))
    assert three == ["layers 1–3, expert 2: 3 expert tensors missing, in 3 files"]


def test_scattered_experts_are_not_listed() -> None:
    scattered = [odd(1, expert, None) for expert in range(0, 20, 2)]
    assert messages(*scattered) == ["layer 1: 10 expert tensors missing"]


def test_unknown_names_are_grouped_by_their_likeness() -> None:
    strangers = [
        TensorDeviation(Deviation.UNEXPECTED, f"model.layers.{layer}.extra", layer, "", "a")
        for layer in range(3)
    ]
    outside = TensorDeviation(Deviation.UNEXPECTED, "extra", None, "", "a")
    assert messages(*strangers, outside) == [
        (
            "layers 0–2: 3 tensors like model.layers.0.extra that the config does not call for, "
            "all in a"
        ),
        "outside the layers: extra that the config does not call for, in a",
    ]


def test_a_hostile_header_does_not_end_in_a_finding_for_each_name() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [a + b + c for a in letters[:4] for b in letters for c in letters]
    found = list(
        group("model", [TensorDeviation(Deviation.UNEXPECTED, n, None, "", "a") for n in names])
    )
    assert len(found) == 1001
    assert found[-1].count == len(names) - 1000
