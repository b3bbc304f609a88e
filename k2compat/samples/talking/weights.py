"""The talking model's weights, computed: attention remembers the last tokens, lm_head answers.

The hidden state of 512 numbers is nine slots of 56 and eight constants. Slot 0 holds the code of
the token itself, 56 numbers of ±1, from the embedding. Head h of layer 0 looks h + 1 tokens back
and copies that token's code into slot h + 1. So the state after layer 0 names the last nine
tokens, and lm_head, solved by least squares, names the next one. All later layers write next to
nothing.

    constants ─ q_a ─ norm ─ q_b ─▶ query: a phase for each head ─┐
    constants ─ kv_a ─────────────▶ key: the same for each token ─┴ rope ─▶ peak h + 1 tokens back
    code ────── kv_a ─ norm ─ kv_b ▶ value ─ o_proj ─▶ slot h + 1

A fault in rope, yarn, MLA, the norms, the residual stream, the KV cache or the tokenizer turns the
answer into noise.
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from k2compat.samples.talking.output_head import (
    CODE,
    CONSTANTS,
    FINAL_NORM,
    HEADS,
    HIDDEN,
    output_head,
)
from k2compat.samples.talking.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

SIZES: Final[Mapping[str, int]] = {
    "hidden_size": HIDDEN,
    "intermediate_size": 256,
    "kv_lora_rank": 512,
    "moe_intermediate_size": 128,
    "n_routed_experts": 8,
    "num_attention_heads": HEADS,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": HEADS,
    "q_lora_rank": 128,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}
"""MLA has Kimi-K2's own ranks and head sizes. Every side of an FP8 matrix but kv_a's is a multiple
of 128."""

_KEYWORD_SIGNS: Final = 8
_SEED: Final = 17
_PEAK: Final = 20.0
"""Length of each rope pair of queries and keys: the softmax's peak is 50 logits above the rest."""

# Yarn leaves the pairs that turn often within 4,096 tokens alone: 20 of Kimi-K2's 32 with its
# beta_fast of 1, 9 with the usual 32, which engines take where a file does not name it.
_PAIRS: Final = 9


def fp8_parts(value: float, parts: int) -> list[float]:
    """Numbers of few bits whose sum is a value: each fits FP8's E4M3, the sum is more exact."""
    rest, found = value, list[float]()
    for _ in range(parts):
        # Three bits behind the leading one, and no exponent below -6.
        step = 2.0 ** (max(math.floor(math.log2(abs(rest))), -6) - 3) if rest else 1.0
        found.append(round(rest / step) * step)
        rest -= found[-1]
    return found


def weights(config: Mapping[str, Any], vocabulary: Vocabulary) -> "dict[str, Array]":
    """Every tensor of the checkpoint, in 32 bits.

    Args:
        config: With `SIZES` and Kimi-K2's rope.
        vocabulary: The tokens and the scripts.

    Returns:
        By the checkpoint's names, slowest dimension first. Each number in a projection fits
        FP8's E4M3 without loss, each other one BF16 nearly so.

    Raises:
        ValueError: The scripts are too many or too much alike: some token's margin is below
            `MARGIN_MIN`.
    """
    import numpy as np

    random = np.random.default_rng(_SEED)
    codes = _codes(vocabulary, random)
    embedding = np.zeros((len(vocabulary), HIDDEN), np.float32)
    embedding[:, :CODE] = codes
    embedding[:, -CONSTANTS:] = 1
    tensors = {
        "model.embed_tokens.weight": embedding,
        "model.norm.weight": np.full(HIDDEN, FINAL_NORM, np.float32),
        "lm_head.weight": output_head(codes, vocabulary, random),
    }
    for layer in range(config["num_hidden_layers"]):
        attention = _silent_attention if layer else _remembering
        mlp = _dense if layer < config["first_k_dense_replace"] else _experts
        for part in (attention(config, random), mlp(config, random)):
            tensors |= {f"model.layers.{layer}.{name}": tensor for name, tensor in part.items()}
    return tensors


def _codes(vocabulary: Vocabulary, random: Any) -> "Array":
    """The code of each token: random signs, but for those that tell keywords from all others."""
    import numpy as np

    codes: Array = random.choice(np.array([-1, 1], np.float32), (len(vocabulary), CODE))
    codes[:, :_KEYWORD_SIGNS] = -1
    codes[[vocabulary.id_of(keyword) for keyword in vocabulary.answers], :_KEYWORD_SIGNS] = 1
    return codes


def _remembering(config: Mapping[str, Any], random: Any) -> "dict[str, Array]":
    """Layer 0's attention: head h copies the code of the token h + 1 places back."""
    import numpy as np

    nope, rope, value = (config[f"{part}_head_dim"] for part in ("qk_nope", "qk_rope", "v"))
    latent, rank = config["kv_lora_rank"], config["q_lora_rank"]
    # The norm divides 56 times ±1 and 8 times 1 by the root of their mean square.
    code_norm = np.full(HIDDEN, np.sqrt((CODE + CONSTANTS) / HIDDEN), np.float32)

    query_down = np.zeros((rank, HIDDEN), np.float32)
    query_down[np.arange(rank), HIDDEN - CONSTANTS + np.arange(rank) % CONSTANTS] = 1
    frequency = config["rope_theta"] ** (-2 * np.arange(_PAIRS) / rope)
    query_up = np.zeros((HEADS, nope + rope, rank), np.float32)
    for head in range(HEADS):
        for pair, phase in enumerate(-(head + 1) * frequency):
            for side, part in enumerate((np.cos(phase), np.sin(phase))):
                # Four numbers of four bits add up to one of sixteen.
                row = query_up[head, nope + 2 * pair + side]
                row[4 * pair : 4 * pair + 4] = fp8_parts(_PEAK * float(part), 4)

    # The latent holds nine copies of the code; each head reads one of its own.
    down = np.zeros((latent + rope, HIDDEN), np.float32)
    down[np.arange(latent), np.arange(latent) % CODE] = 1
    for constant, part in enumerate(fp8_parts(_PEAK, CONSTANTS)):
        down[latent : latent + 2 * _PAIRS : 2, HIDDEN - CONSTANTS + constant] = part
    up = np.zeros((HEADS, nope + value, latent), np.float32)
    out = np.zeros((HIDDEN, HEADS, value), np.float32)
    for head in range(HEADS):
        for number in range(CODE):
            up[head, nope + number, head * CODE + number] = 1
            out[(head + 1) * CODE + number, head, number] = 1
    matrices = {
        "q_a_proj": query_down,
        "q_b_proj": query_up.reshape(-1, rank),
        "kv_a_proj_with_mqa": down,
        "kv_b_proj": up.reshape(-1, latent),
        "o_proj": out.reshape(HIDDEN, -1),
    }
    return {
        "input_layernorm.weight": code_norm,
        "self_attn.q_a_layernorm.weight": np.ones(rank, np.float32),
        "self_attn.kv_a_layernorm.weight": np.ones(latent, np.float32),
        "post_attention_layernorm.weight": np.ones(HIDDEN, np.float32),
        **{
            f"self_attn.{name}.weight": np.where(matrix, matrix, _hum(random, *matrix.shape))
            for name, matrix in matrices.items()
        },
    }


def _silent_attention(config: Mapping[str, Any], random: Any) -> "dict[str, Array]":
    """A later layer's attention, which computes and writes next to nothing."""
    import numpy as np

    heads, latent = config["num_attention_heads"], config["kv_lora_rank"]
    nope, rope = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    rank, value = config["q_lora_rank"], config["v_head_dim"]
    ones = {
        "input_layernorm.weight": HIDDEN,
        "self_attn.q_a_layernorm.weight": rank,
        "self_attn.kv_a_layernorm.weight": latent,
        "post_attention_layernorm.weight": HIDDEN,
    }
    return {
        **{name: np.ones(size, np.float32) for name, size in ones.items()},
        "self_attn.q_a_proj.weight": _noise(random, rank, HIDDEN),
        "self_attn.q_b_proj.weight": _noise(random, heads * (nope + rope), rank),
        "self_attn.kv_a_proj_with_mqa.weight": _noise(random, latent + rope, HIDDEN),
        "self_attn.kv_b_proj.weight": _noise(random, heads * (nope + value), latent),
        "self_attn.o_proj.weight": _hum(random, HIDDEN, heads * value),
    }


def _dense(config: Mapping[str, Any], random: Any) -> "dict[str, Array]":
    return dict(_mlp("mlp", config["intermediate_size"], random))


def _experts(config: Mapping[str, Any], random: Any) -> "dict[str, Array]":
    import numpy as np

    experts, width = config["n_routed_experts"], config["moe_intermediate_size"]
    tensors = {
        "mlp.gate.weight": _noise(random, experts, HIDDEN),
        "mlp.gate.e_score_correction_bias": np.linspace(0, 0.5, experts, dtype=np.float32),
        **dict(_mlp("mlp.shared_experts", width * config["n_shared_experts"], random)),
    }
    for expert in range(experts):
        tensors |= _mlp(f"mlp.experts.{expert}", width, random)
    return tensors


def _mlp(name: str, width: int, random: Any) -> "Iterator[tuple[str, Array]]":
    yield f"{name}.gate_proj.weight", _noise(random, width, HIDDEN)
    yield f"{name}.up_proj.weight", _noise(random, width, HIDDEN)
    yield f"{name}.down_proj.weight", _hum(random, HIDDEN, width)


def _noise(random: Any, rows: int, columns: int) -> "Array":
    """Up to a 32nd, in numbers of few bits, so that FP8 holds them."""
    return _small(random.integers(-8, 9, (rows, columns)), 256)


def _hum(random: Any, rows: int, columns: int) -> "Array":
    """Numbers that are too small to matter, where nothing is to be written.

    Zeros would do as well, but a file full of zeros is what an interrupted download leaves.
    """
    return _small(random.integers(-1, 2, (rows, columns)), 512)


def _small(integers: "NDArray[np.int64]", divisor: int) -> "Array":
    import numpy as np

    return (integers / divisor).astype(np.float32)
