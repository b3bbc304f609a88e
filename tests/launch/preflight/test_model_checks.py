"""Whether the model's files are complete: validate's findings, and the files beside weights."""

from pathlib import Path

import pytest

from k2compat.launch.preflight.model_checks import check_model, check_model_path
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


@pytest.mark.parametrize("name", ["moonshotai/Kimi-K2-Instruct", "K2", "$MODEL", "."])
def test_what_is_no_path_is_not_judged(name: str) -> None:
    assert list(check_model_path(name)) == []


@pytest.mark.parametrize("name", ["/no/such/folder", "./absent", "../absent", "~/absent of mine"])
def test_a_path_that_cannot_be_read_is_an_error(name: str) -> None:
    (finding,) = check_model_path(name)
    assert (finding.code, finding.severity, finding.where) == ("model-missing", "error", name)
    assert "No such file or directory" in finding.message


def test_a_path_that_is_there(tmp_path: Path) -> None:
    assert list(check_model_path(str(tmp_path))) == []
