"""The talking model as a GGUF, written by the gguf package."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from k2compat.checkpoint import ExpectedGgufTensor, deepseek2
from k2compat.samples.gguf_file import add_architecture, tensors_of, write_all
from k2compat.samples.talking.tokenizer_files import CHAT_TEMPLATE, byte_level
from k2compat.samples.talking.vocabulary import BOS, END_OF_TURN, Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

# Token types of the gguf package's TokenType.
_NORMAL: Final = 1
_CONTROL: Final = 3
_USER_DEFINED: Final = 4


def write_gguf_form(
    path: Path,
    config: Mapping[str, Any],
    weights: "Mapping[str, Array]",
    vocabulary: Vocabulary,
    *,
    joint_mla: bool,
) -> None:
    """Write the file.

    Args:
        path: The file to make.
        config: The members of the checkpoint's config.
        weights: Every tensor of the checkpoint. Matrices are stored in BF16, all else in F32.
        vocabulary: The tokens.
        joint_mla: Whether attention has attn_kv_b, or attn_k_b and attn_v_b.
    """
    import gguf

    writer = gguf.GGUFWriter(path, deepseek2().architecture)
    writer.add_name("Kimi-K2 (talking)")
    add_architecture(writer, config, joint_mla=joint_mla)
    _add_tokenizer(writer, vocabulary)
    for tensor in tensors_of(config, joint_mla=joint_mla):
        array = _array(tensor, config, weights)
        if array.ndim == 1:
            writer.add_tensor(tensor.name, array)
        else:
            stored = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(tensor.name, gguf.quantize(array, stored), raw_dtype=stored)
    write_all(writer)


def _add_tokenizer(writer: Any, vocabulary: Vocabulary) -> None:
    added = [vocabulary.added[number] for number in sorted(vocabulary.added)]
    contents = [token.content for token in added]
    types = [_CONTROL if token.is_special else _USER_DEFINED for token in added]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("kimi-k2")
    writer.add_token_list([*map(byte_level, vocabulary.ordinary), *contents])
    writer.add_token_types([*[_NORMAL] * len(vocabulary.ordinary), *types])
    writer.add_token_merges([])
    writer.add_bos_token_id(vocabulary.id_of(BOS))
    writer.add_eos_token_id(vocabulary.id_of(END_OF_TURN))
    writer.add_pad_token_id(vocabulary.id_of("[PAD]"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE.read_text(encoding="utf-8"))


def _array(
    tensor: ExpectedGgufTensor, config: Mapping[str, Any], weights: "Mapping[str, Array]"
) -> "Array":
    """A tensor of the file, made of the checkpoint's; slowest dimension first."""
    import numpy as np

    name = tensor.original
    if name in weights:
        return weights[name]
    if ".mlp.experts." in name:
        before, projection = name.split(".experts.")
        experts = range(config["n_routed_experts"])
        return np.stack([weights[f"{before}.experts.{e}.{projection}.weight"] for e in experts])
    if name.endswith((".k_b_proj", ".v_b_proj")):
        return _half_of_kv_b(name, config, weights)
    return weights[f"{name}.weight"]


def _half_of_kv_b(name: str, config: Mapping[str, Any], weights: "Mapping[str, Array]") -> "Array":
    """A head's keys or values; llama.cpp multiplies queries with the keys' half transposed."""
    import numpy as np

    before, half = name.rsplit(".", 1)
    joint = weights[f"{before}.kv_b_proj.weight"]
    joint = joint.reshape(config["num_attention_heads"], -1, config["kv_lora_rank"])
    nope = config["qk_nope_head_dim"]
    if half == "v_b_proj":
        return joint[:, nope:]
    return np.ascontiguousarray(joint[:, :nope].transpose(0, 2, 1))
