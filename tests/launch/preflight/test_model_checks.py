"""Whether a model's weights are all there."""

import json
from pathlib import Path

from k2compat.checkpoint.model_folder import read_model_folder
from k2compat.launch.preflight.model_checks import check_ggufs, check_safetensors
from tests.launch.preflight.support import codes, only
from tests.support.models import make_ggufs, make_model

INDEX = "model.safetensors.index.json"


def folder(path: Path, shards: int, present: int) -> Path:
    names = [f"model-{number}-of-{shards}.safetensors" for number in range(1, shards + 1)]
    weight_map = {f"tensor{number}": name for number, name in enumerate(names)}
    (path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    for name in names[:present]:
        (path / name).write_bytes(b"")
    return path


def test_a_whole_model(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    assert codes(check_safetensors(read_model_folder(model))) == []


def test_a_download_that_stopped(tmp_path: Path) -> None:
    finding = only(check_safetensors(read_model_folder(folder(tmp_path, 61, 3))))
    assert (finding.code, finding.count) == ("weights-missing", 58)
    assert finding.message.startswith("58 of 61 weight files are missing: model-10-of-61.")
    assert finding.message.endswith(" ….")


def test_one_that_is_missing_is_named(tmp_path: Path) -> None:
    finding = only(check_safetensors(read_model_folder(folder(tmp_path, 2, 1))))
    assert finding.message == "1 of 2 weight files are missing: model-2-of-2.safetensors."


def test_no_weights_at_all(tmp_path: Path) -> None:
    assert codes(check_safetensors(read_model_folder(tmp_path))) == ["weights-missing"]


def test_weights_without_an_index_are_enough(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert codes(check_safetensors(read_model_folder(tmp_path))) == []
    (tmp_path / INDEX).write_text('{"weight_map": []}')
    assert codes(check_safetensors(read_model_folder(tmp_path))) == []


def test_a_damaged_index(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("{")
    assert codes(check_safetensors(read_model_folder(tmp_path))) == ["companion-damaged"]


def test_ggufs(tmp_path: Path) -> None:
    assert codes(check_ggufs(read_model_folder(tmp_path / "absent"))) == ["weights-missing"]
    assert codes(check_ggufs(read_model_folder(make_ggufs(tmp_path / "ggufs")))) == []
