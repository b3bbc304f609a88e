"""The files a model needs beside its weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.checkpoint.companions import check_companions, remote_code
from k2compat.checkpoint.folder_source import open_folder_source
from k2compat.checkpoint.model_folder import read_model_folder
from tests.support.file_damage import FILE_DAMAGE
from tests.support.models import make_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def found(model: Path) -> list[tuple[str, str | None]]:
    return [(f.code, f.expected) for f in check_companions(open_folder_source(model))]


def test_a_whole_folder_gives_nothing(model: Path) -> None:
    assert found(model) == []


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_an_absent_config_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    assert ("companion-missing", name) in found(model)


def test_any_vocabulary_will_do(model: Path) -> None:
    (model / "tiktoken.model").rename(model / "tokenizer.json")
    assert found(model) == []
    (model / "tokenizer.json").unlink()
    ((code, expected),) = found(model)
    assert code == "companion-missing"
    assert "tiktoken.model" in str(expected)


@pytest.mark.parametrize(
    "name", ["configuration_deepseek.py", "modeling_deepseek.py", "tokenization_kimi.py"]
)
def test_a_module_that_auto_map_names_must_be_there(model: Path, name: str) -> None:
    (model / name).unlink()
    assert found(model) == [("remote-code-missing", name)]


def test_a_module_of_another_repo_is_not_looked_for(model: Path) -> None:
    config = {
        "auto_map": {"AutoConfig": "org/repo--configuration.Config", "AutoModel": 3, "x": "y"}
    }
    (model / "config.json").write_text(json.dumps(config))
    assert found(model) == []


def test_a_module_in_a_package_is_a_path(model: Path) -> None:
    reference = "code.configuration.Config"
    config = {"auto_map": {"AutoConfig": reference, "AutoTokenizer": [reference, None]}}
    (model / "config.json").write_text(json.dumps(config))
    assert found(model) == [("remote-code-missing", "code/configuration.py")]


def test_a_module_cannot_lead_out_of_the_folder_or_draw_on_the_terminal(model: Path) -> None:
    auto_map = {
        "a": "../../etc/passwd.X",
        "b": "/etc/passwd.Y",
        "c": "\x1b[31m.Z",
        "d": "m" * 999 + ".W",
    }
    (model / "config.json").write_text(json.dumps({"auto_map": auto_map}))
    findings = list(check_companions(open_folder_source(model)))
    assert [finding.code for finding in findings] == ["remote-code-missing"] * 4
    assert all((f.message + f.where).isprintable() for f in findings)
    assert max(len(f.message) for f in findings) < 400


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda path: path.write_text("{"), "companion-damaged"),
        (lambda path: path.write_bytes(b"\xff\xfe{"), "companion-damaged"),
        *FILE_DAMAGE.values(),
    ],
)
def test_a_damaged_config_is_a_finding(
    model: Path, damage: Callable[[Path], object], code: str
) -> None:
    damage(model / "config.json")
    assert found(model) == [(code, None)]


def test_remote_code_is_named_with_its_digest(model: Path) -> None:
    (model / "tokenization_kimi.py").write_bytes(b"")
    folder = read_model_folder(model)
    (finding,) = remote_code(folder, ["tokenization_kimi.py"])
    assert finding.code == "remote-code"
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert finding.actual == f"sha256:{empty}"
