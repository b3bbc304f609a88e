"""The Kimi-K2 family as data: model types, what is no member, and the fingerprint.

Source of every value: the `config.json` of the repos on the Hub (moonshotai/Kimi-K2-*,
moonshotai/Kimi-K2.5, moonshotai/Kimi-K3, deepseek-ai/DeepSeek-V3 and -R1).
"""

from collections.abc import Mapping
from typing import Any, Final

KIMI_K2: Final = "kimi_k2"
DEEPSEEK_V3: Final = "deepseek_v3"

# The two names of one architecture, between which a config can be switched.
SWITCHABLE: Final = (KIMI_K2, DEEPSEEK_V3)

# Model types that wrap a text model: the type, and the member that describes it.
WRAPPERS: Final[Mapping[str, str]] = {"kimi_k25": "text_config"}

# What `sed s/kimi_k2/deepseek_v3/`, which guides for weight converters recommend, makes of a
# wrapper's type: the accident, and the type that it replaced.
SED_ACCIDENTS: Final[Mapping[str, str]] = {
    wrapper.replace(KIMI_K2, DEEPSEEK_V3): wrapper for wrapper in WRAPPERS
}

# Model types that engines know, with further tensors beside those of the family.
RELATIVES: Final[Mapping[str, str]] = {"deepseek_v32": DEEPSEEK_V3}

# Kimi models of another architecture, with the reason no switch can help them.
OTHER_ARCHITECTURES: Final[Mapping[str, str]] = {
    "kimi_k3": "Kimi-K3 mixes linear attention layers with MLA",
    "kimi_linear": "Kimi-Linear replaces most MLA layers by linear attention",
}

# Values that tell the two models apart when both are called deepseek_v3. Pruned and tiny
# models keep them: they belong to the router, not to the size.
FINGERPRINTS: Final[Mapping[str, Mapping[str, float]]] = {
    KIMI_K2: {"routed_scaling_factor": 2.827, "n_group": 1, "topk_group": 1},
    DEEPSEEK_V3: {"routed_scaling_factor": 2.5, "n_group": 8, "topk_group": 4},
}

# What a folder of the family holds beside its weights. All but the tokenizer's vocabulary
# are small JSON or Python files.
CONFIG_FILE: Final = "config.json"
TOKENIZER_CONFIG_FILE: Final = "tokenizer_config.json"
GENERATION_CONFIG_FILE: Final = "generation_config.json"
MODELOPT_FILE: Final = "hf_quant_config.json"
MODELSLIM_FILE: Final = "quant_model_description.json"
VOCABULARY_FILES: Final = ("tiktoken.model", "tokenizer.json", "tokenizer.model")


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The text model's members: those of the wrapper's member, where the config is a wrapper's.

    Args:
        config: The members of a config.json. One whose wrapper lacks the member, or has something
            else than an object there, describes the text model itself.
    """
    model_type = config.get("model_type")
    inner = config.get(WRAPPERS.get(model_type, "")) if isinstance(model_type, str) else None
    return inner if isinstance(inner, dict) else config


def fingerprint_of(config: Mapping[str, Any]) -> str | None:
    """Which model's fingerprint a text model's config carries.

    Args:
        config: The members of the (text) config.

    Returns:
        A key of FINGERPRINTS, or None where no fingerprint matches whole.
    """
    for model_type, fingerprint in FINGERPRINTS.items():
        if all(_equals(config.get(key), value) for key, value in fingerprint.items()):
            return model_type
    return None


def _equals(actual: object, expected: float) -> bool:
    # True == 1 in Python, yet `"n_group": true` is no group count.
    return isinstance(actual, int | float) and not isinstance(actual, bool) and actual == expected
