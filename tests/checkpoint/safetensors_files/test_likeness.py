"""Two checkpoints that should have the same tensors; what differs alike is one finding."""

from pathlib import Path

from k2compat.checkpoint import validate
from k2compat.samples import write_gguf
from tests.checkpoint.validations import codes
from tests.support.drafts import LAYER_1, OUTSIDE, draft


def test_a_copy_is_like_its_original(tmp_path: Path) -> None:
    original = draft().write(tmp_path / "original")
    assert codes(validate(draft().write(tmp_path / "copy"), like=original)) == []


def test_each_difference_is_found_and_grouped(tmp_path: Path) -> None:
    original = draft().write(tmp_path / "original")
    made = draft()
    made.drop(lambda name: name.endswith("_layernorm.weight"))
    made.shards[OUTSIDE].append(made.shards[OUTSIDE][0]._replace(name="model.extra"))
    for expert in range(4):
        ending = f"experts.{expert}.up_proj.weight"
        made.change(ending, dtypes=("I8",), shape=(128, 255))
    report = validate(made.write(tmp_path / "other"), like=original).report
    found = {f.code: f for f in report if f.code.startswith("like-")}
    assert set(found) == {"like-missing", "like-surplus", "like-dtype", "like-shape"}
    assert found["like-dtype"].count == found["like-shape"].count == 4
    assert "layer 1: 4 tensors with another dtype" in found["like-dtype"].message
    assert (found["like-shape"].expected, found["like-shape"].actual) == (
        "[128, 256]",
        "[128, 255]",
    )
    assert found["like-surplus"].items == ("model.extra",)


def test_a_single_shard_is_like_itself(tmp_path: Path) -> None:
    folder = draft().write(tmp_path)
    report = validate(folder / LAYER_1, like=folder / LAYER_1).report
    assert not any(finding.code.startswith("like-") for finding in report)


def test_ggufs_are_compared_tensor_by_tensor(tmp_path: Path) -> None:
    """A split set has the tensors of its file; joint and split MLA have others."""
    for name in ("one", "set", "joint"):
        (tmp_path / name).mkdir()
    write_gguf(tmp_path / "one" / "K2.gguf")
    write_gguf(tmp_path / "set" / "K2.gguf", tensors_per_file=10)
    write_gguf(tmp_path / "joint" / "K2.gguf", joint_mla=False)
    same = validate(tmp_path / "set", like=tmp_path / "one" / "K2.gguf").report
    assert not any(finding.code.startswith("like-") for finding in same)
    report = validate(tmp_path / "joint", like=tmp_path / "one").report
    found = {f.code: f for f in report if f.code.startswith("like-")}
    assert set(found) == {"like-missing", "like-surplus"}
    assert found["like-missing"].count == 2
    assert "layers 0–1: 2 tensors" in found["like-missing"].message


def test_safetensors_are_not_like_a_gguf(tmp_path: Path) -> None:
    write_gguf(tmp_path / "K2.gguf")
    report = validate(draft().write(tmp_path / "model"), like=tmp_path / "K2.gguf").report
    found = {finding.code for finding in report if finding.code.startswith("like-")}
    assert found == {"like-missing", "like-surplus"}
