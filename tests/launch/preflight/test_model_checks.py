"""Whether the model's files are complete: validate's findings, and the files beside weights."""

from pathlib import Path

import pytest

from k2compat.launch.preflight.model_checks import check_model
from tests.launch.preflight.support import codes
from tests.support.models import make_ggufs, make_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "模型")


def test_a_whole_model(model: Path) -> None:
    assert codes(check_model(model, model, "vllm")) == []


@pytest.mark.parametrize("name", ["tiktoken.model", "tokenizer_config.json"])
def test_a_companion_that_is_missing(model: Path, name: str) -> None:
    (model / name).unlink()
    assert codes(check_model(model, model, "vllm")) == ["companion-missing"]


def test_remote_code_that_is_missing(model: Path) -> None:
    for path in model.glob("*.py"):
        path.unlink()
    assert set(codes(check_model(model, model, "vllm"))) == {"remote-code-missing"}


def test_a_shard_that_is_missing(model: Path) -> None:
    min(model.glob("*.safetensors")).unlink()
    assert "shard-missing" in codes(check_model(model, model, "vllm"))


def test_a_shard_that_is_cut_off(model: Path) -> None:
    shard = min(model.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "safetensors-truncated" in codes(check_model(model, model, "vllm"))


def test_no_weights_at_all(model: Path) -> None:
    for path in [*model.glob("*.safetensors"), model / "model.safetensors.index.json"]:
        path.unlink()
    (model / "tiktoken.model").unlink()
    assert codes(check_model(model, model, "vllm")) == ["weights-missing", "companion-missing"]


class TestGgufs:
    """KTransformers reads the weights here, and all else there."""

    def test_whole(self, model: Path, tmp_path: Path) -> None:
        ggufs = make_ggufs(tmp_path / "ggufs")
        assert codes(check_model(model, ggufs, "ktransformers")) == []
        (model / "tiktoken.model").unlink()
        assert codes(check_model(model, ggufs, "ktransformers")) == ["companion-missing"]

    def test_none_are_there(self, model: Path, tmp_path: Path) -> None:
        absent = check_model(model, tmp_path / "absent", "ktransformers")
        assert codes(absent) == ["weights-missing"]

    def test_beside_safetensors_they_are_mixed(self, model: Path) -> None:
        make_ggufs(model)
        assert "ktransformers-mixed-folder" in codes(check_model(model, model, "ktransformers"))
