"""A split GGUF set, as all of Kimi-K2's in the field are, from staging to the engine's start."""

import json
from pathlib import Path

import pytest

from k2compat.checkpoint import validate
from k2compat.findings import Severity, catalogue
from k2compat.launch.preflight.model_checks import check_model
from k2compat.samples import write_gguf
from k2compat.staging import StagingRequest, stage
from tests.support.command import k2compat
from tests.support.models import STAGED, make_model, tree


@pytest.fixture(params=["joint", "split"])
def ggufs(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A set made by the gguf package's own splitting writer, with either generation of MLA."""
    folder = tmp_path / "ggufs"
    folder.mkdir()
    write_gguf(folder / "K2.gguf", joint_mla=request.param == "joint", tensors_per_file=7)
    assert len(list(folder.iterdir())) > 3
    return folder


def test_what_was_staged_is_sound_for_ktransformers(tmp_path: Path, ggufs: Path) -> None:
    staging = stage(StagingRequest(model=make_model(tmp_path / "model"), gguf_folder=ggufs))
    assert [f for f in staging.report if f.severity is not Severity.INFO] == []
    assert tree(ggufs).keys() >= set(STAGED)
    report = validate(ggufs, engine="ktransformers").report
    assert [finding for finding in report if finding.severity is not Severity.INFO] == []
    assert list(check_model(ggufs, ggufs, "ktransformers")) == []


def test_the_three_commands_agree(tmp_path: Path, ggufs: Path) -> None:
    make_model(tmp_path / "model")
    staged = k2compat("stage-gguf", str(tmp_path / "model"), str(ggufs))
    assert staged.code == 0, staged.words
    validated = k2compat("validate", str(ggufs), "--engine", "ktransformers")
    assert validated.code == 0, validated.words
    preflight = k2compat(
        *("preflight", "ktransformers", str(ggufs), "--gguf-path", str(ggufs)),
        *("--gpus-per-node", "1", "--json"),
    )
    found = json.loads(preflight.out)["findings"]
    assert [f for f in found if catalogue()[f["code"]].room == "checkpoint"] == []
