"""The table of tensors against the gguf package's own tables."""

import gguf

from k2compat.checkpoint.gguf_files.rules import deepseek2
from k2compat.checkpoint.model import evaluate

TABLES = gguf.get_tensor_name_map(gguf.MODEL_ARCH.DEEPSEEK2, 2)

# Of its DEEPSEEK2 table, tensors that no converter writes any more, or only for one expert each.
UNWRITTEN = {"rope_freqs", "blk.{bid}.attn_k", "blk.{bid}.attn_v", "blk.{bid}.attn_rot_embd"}

# llama.cpp reads them, the gguf package's table of this architecture has them not yet.
NEWER = ("ffn_gate_up_exps", "nextn.")


def test_each_original_module_maps_to_the_tensor() -> None:
    for rule in deepseek2().tensors:
        assert f"{TABLES.get_name(rule.original)}.weight" == rule.name
    for rule in deepseek2().layer_tensors:
        if not rule.name.startswith(NEWER):
            # The table has the module that holds the bias.
            module = rule.original.removesuffix("_bias")
            mapped = TABLES.get_name(f"model.layers.1.{module}")
            assert mapped == f"blk.1.{rule.name.rpartition('.')[0]}"


def test_the_packages_table_has_no_other_tensors() -> None:
    known = {gguf.TENSOR_NAMES[tensor] for tensor in gguf.MODEL_TENSORS[gguf.MODEL_ARCH.DEEPSEEK2]}
    ours = {rule.name.rpartition(".")[0] for rule in deepseek2().tensors}
    ours |= {f"blk.{{bid}}.{rule.name.rpartition('.')[0]}" for rule in deepseek2().layer_tensors}
    assert known - UNWRITTEN <= ours
    assert all(
        name.startswith(NEWER) for name in {n.removeprefix("blk.{bid}.") for n in ours - known}
    )


def test_every_key_is_one_the_package_knows() -> None:
    import inspect

    known = set()
    for _, group in inspect.getmembers(gguf.Keys, inspect.isclass):
        known |= {value for value in vars(group).values() if isinstance(value, str)}
    rules = deepseek2()
    keys = {rule.key for rule in rules.sizes} | {rule.mla_key for rule in rules.sizes}
    keys |= {rule.key for rule in rules.values} | {relation.key for relation in rules.relations}
    assert {f"{{arch}}.{key}" for key in keys - {None}} <= known


def test_every_expression_can_be_read() -> None:
    rules = deepseek2()
    expressions = [rule.config for rule in rules.sizes]
    expressions += [side for each in rules.relations for side in (each.to, each.absent)]
    expressions += [each for rule in (*rules.tensors, *rules.layer_tensors) for each in rule.shape]
    assert len(expressions) > 60
    for expression in expressions:
        evaluate(expression, {})
