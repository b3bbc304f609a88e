"""The whole preflight: what it reads, and what it says once."""

from pathlib import Path

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.plan import Plan
from k2compat.launch.preflight.preflight import preflight_plan
from k2compat.launch.request.model import read_model
from tests.launch.preflight.support import ADDRESSES, codes, plan_of
from tests.launch.support import plan
from tests.support.models import make_ggufs, make_model

HERE = ("127.0.0.1",)
NAME = read_model("moonshotai/Kimi-K2-Instruct")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "模型")


def ktransformers() -> Plan:
    return plan_of("kt run x", engine="ktransformers", version="0.7.2", addresses=HERE)


def test_offline_nothing_is_read_and_each_finding_stands_once() -> None:
    found = preflight_plan(plan("vllm", nodes=ADDRESSES, gpu="h200"), NAME)
    assert found.inspection is None
    assert codes(found.findings) == list(dict.fromkeys(codes(found.findings)))
    assert "placeholder-open" in codes(found.findings)


def test_on_a_node_variables_are_in_place() -> None:
    made = plan("vllm", nodes=("$HEAD", "10.0.0.2"))
    found = preflight_plan(made, NAME, node_rank="0", environment={"HEAD": "127.0.0.1"})
    assert found.inspection is not None
    assert str(found.inspection.node.address) == "127.0.0.1"
    assert "placeholder-open" not in codes(found.findings)
    assert "placeholder-unresolved" in codes(found.findings)  # the interface


def test_a_folder_is_judged_a_name_is_not(model: Path) -> None:
    (model / "tiktoken.model").unlink()
    made = plan("vllm", str(model), nodes=HERE)
    found = preflight_plan(made, read_model(str(model)), node_rank="0")
    assert "companion-missing" in codes(found.findings)
    assert found.inspection is not None
    assert found.inspection.facts.model is not None
    assert "companion-missing" not in codes(preflight_plan(made, NAME, node_rank="0").findings)


class TestGgufs:
    """KTransformers takes its weights from a folder of their own."""

    def missing(self, model: Path, gguf_path: str | None) -> bool:
        found = preflight_plan(
            ktransformers(), read_model(str(model)), node_rank="0", gguf_path=gguf_path
        )
        return "weights-missing" in codes(found.findings)

    def test_there_or_not(self, model: Path, tmp_path: Path) -> None:
        assert not self.missing(model, str(make_ggufs(tmp_path / "ggufs")))
        assert self.missing(model, str(tmp_path / "absent"))

    def test_not_known_yet(self, model: Path) -> None:
        assert not self.missing(model, "$GGUFS")

    def test_other_engines_have_none(self, model: Path, tmp_path: Path) -> None:
        made = plan("vllm", str(model), nodes=HERE)
        absent = str(tmp_path / "absent")
        found = preflight_plan(made, read_model(str(model)), node_rank="0", gguf_path=absent)
        assert "weights-missing" not in codes(found.findings)


def test_an_unknown_node_is_refused() -> None:
    with pytest.raises(RefusedError):
        preflight_plan(plan_of(), NAME, node_rank="9")
