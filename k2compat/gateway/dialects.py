"""The engines' dialects, read from `dialects.toml`."""

from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

import msgspec

Engine = Literal["vllm", "sglang", "llama.cpp", "trtllm", "openai"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one engine's server takes and does; `dialects.toml` explains each field."""

    owned_by: tuple[str, ...]
    always: dict[str, Any]
    usage: bool
    with_ids: dict[str, Any]
    ids: Literal["", "token_ids", "logprobs"]
    ids_beside_tools: bool
    strips: bool


def dialect_of(engine: Engine) -> Dialect:
    """The dialect of an engine."""
    return _dialects()[engine]


def engine_of_models(answer: object) -> Engine:
    """Recognise the engine by the answer to `GET /v1/models`.

    Args:
        answer: the decoded body, of any shape.

    Returns:
        The engine that `owned_by` of a model names, or "openai".
    """
    models = answer.get("data") if isinstance(answer, dict) else None
    owners = [
        model.get("owned_by")
        for model in (models if isinstance(models, list) else ())
        if isinstance(model, dict)
    ]
    for engine, dialect in _dialects().items():
        if any(owner in owners for owner in dialect.owned_by):
            return engine
    return "openai"


@cache
def _dialects() -> dict[Engine, Dialect]:
    data = files("k2compat.gateway").joinpath("dialects.toml").read_bytes()
    return msgspec.toml.decode(data, type=dict[Engine, Dialect])
