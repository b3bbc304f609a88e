"""A new engine's verdicts are one new table: listed, judged, folded and chosen by --engine."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k2compat.checkpoint import validate
from k2compat.checkpoint.engines import engine_names, names
from k2compat.checkpoint.engines.verdicts import engine_table
from k2compat.cli.main import run
from tests.support.drafts import draft

TABLE = """
[[verdict]]
code = "engine-call-ids"
format = "safetensors"
model_types = ["kimi_k2"]
message = "quickserve numbers its calls from 1."
source = "https://quickserve.example/ids"
"""


@pytest.fixture(autouse=True)
def quickserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of tables that holds one more."""
    tables = shutil.copytree(Path(names.__file__).parent, tmp_path / "engines")
    (tables / "quickserve.toml").write_text(TABLE, encoding="utf-8")
    monkeypatch.setattr(names, "_FOLDER", tables)
    # The command lists the engines of --engine when it is imported.
    monkeypatch.delitem(sys.modules, "k2compat.cli.commands.validate", raising=False)
    _forget()
    yield tables / "quickserve.toml"
    _forget()


def _forget() -> None:
    engine_names.cache_clear()
    engine_table.cache_clear()


def test_it_is_listed_and_its_verdict_is_folded_with_the_others(tmp_path: Path) -> None:
    assert "quickserve" in engine_names()
    model = draft().write(tmp_path / "model")
    codes = {finding.code for finding in validate(model).report}
    assert "engine-call-ids" in codes


def test_its_users_ask_for_it_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = draft().write(tmp_path / "model")
    run(["validate", str(model), "--engine", "quickserve"])
    assert "quickserve numbers its calls from 1." in capsys.readouterr().err
    run(["validate", str(model), "--engine", "vllm"])
    assert "quickserve" not in capsys.readouterr().err


def test_a_mistake_in_its_table_is_refused_with_the_place(quickserve: Path) -> None:
    quickserve.write_text(TABLE.replace("format =", "fromat ="), encoding="utf-8")
    with pytest.raises(ValueError, match=r"quickserve\.toml.*fromat"):
        engine_table("quickserve")
