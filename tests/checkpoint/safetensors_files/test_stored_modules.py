"""Pairs of modules that engines join: one finding for all that a config stores in two ways."""

from k2compat.checkpoint import expected_tensors, validate
from k2compat.samples import tiny_config
from tests.checkpoint.validations import bad
from tests.support.memory_source import memory_source


def test_halves_of_every_layer_are_one_finding() -> None:
    config = {**tiny_config(), "num_hidden_layers": 4}
    kept = {**config["quantization_config"], "modules_to_not_convert": ["up_proj"]}
    config["quantization_config"] = kept
    tensors = [one for one in expected_tensors(config) if one.is_usual]
    (finding,) = bad(validate(memory_source(config, tensors=tensors)))
    assert finding.code == "quantization-fused"
    # One dense MLP, and in three layers four experts and the shared ones.
    assert finding.count == len(finding.items) == 1 + 3 * 5
    assert finding.items[0] == "model.layers.0.mlp.gate_proj"
    assert finding.actual == "up_proj not quantised"


def test_pairs_that_stay_whole_are_sound() -> None:
    config = tiny_config()
    kept = {
        **config["quantization_config"],
        "modules_to_not_convert": ["gate_up_proj", "kv_b_proj"],
    }
    config["quantization_config"] = kept
    tensors = [one for one in expected_tensors(config) if one.is_usual]
    names = {one.name for one in tensors}
    # The list of FP8 compares parts of names: both halves of the joined name are meant.
    assert "model.layers.0.mlp.up_proj.weight_scale_inv" not in names
    assert bad(validate(memory_source(config, tensors=tensors))) == []
