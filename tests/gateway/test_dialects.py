"""What is known of the engines' servers."""

import pytest

from k2compat.gateway.dialects import ENGINES, dialect_of, engine_of_models


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_has_a_dialect(engine: str) -> None:
    dialect = dialect_of(engine)  # type: ignore[arg-type]
    assert bool(dialect.ids) == bool(dialect.with_ids)


@pytest.mark.parametrize(
    ("answer", "engine"),
    [
        ({"data": [{"id": "kimi", "owned_by": "vllm"}]}, "vllm"),
        ({"data": [{"owned_by": "sglang"}]}, "sglang"),
        ({"data": [{"owned_by": "another"}, {"owned_by": "llamacpp"}]}, "llama.cpp"),
        ({"data": [{"owned_by": "tensorrt_llm"}]}, "trtllm"),
        ({"data": [{"owned_by": "moonshot"}]}, "openai"),
        ({"data": [{"owned_by": ["vllm"]}, "vllm", None]}, "openai"),
        ({"data": "vllm"}, "openai"),
        ([], "openai"),
        (None, "openai"),
    ],
)
def test_the_owner_of_a_model_tells_the_engine(answer: object, engine: str) -> None:
    assert engine_of_models(answer) == engine
