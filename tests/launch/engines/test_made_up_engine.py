"""A new engine is one new folder: plan, render, check, modernize and preflight know it."""

import shutil
from pathlib import Path

import pytest

from k2compat.findings import Severity
from k2compat.launch import engines
from k2compat.launch.engines.profile import read_profile
from k2compat.launch.flags import check_arguments, newest_version, table_versions
from k2compat.launch.memory.fit import Verdict
from k2compat.launch.memory.sizes import ModelSizes, model_sizes
from k2compat.launch.modernize.rewrite import modernize_text
from k2compat.launch.plan import Plan
from k2compat.launch.planning.checks import fits_of
from k2compat.launch.preflight.engine_parser import check_installed
from k2compat.launch.preflight.preflight import preflight_plan
from k2compat.launch.preflight.requirements import packages_of_interest, ports_of
from k2compat.launch.render import FORMATS, render_plan
from k2compat.launch.request.model import read_model
from tests.launch.support import argv, codes, plan

FOLDER = Path(__file__).with_name("made_up")
MODEL = read_model("moonshotai/Kimi-K2-Instruct")


@pytest.fixture(autouse=True)
def quickserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of engines that holds one more."""
    shutil.copytree(FOLDER, tmp_path / "engines")
    monkeypatch.setattr(engines, "__path__", [*engines.__path__, str(tmp_path / "engines")])
    return tmp_path / "engines" / "quickserve"


def made(version: str | None = None, **options: object) -> Plan:
    return plan("quickserve", nodes=("10.0.0.1",), gpu="b300", engine_version=version, **options)  # type: ignore[arg-type]


def test_it_is_listed() -> None:
    assert {"ktransformers", "quickserve", "vllm"} < set(engines.engine_names())
    assert list(engines.engine_names()) == sorted(engines.engine_names())
    assert newest_version("quickserve") == "2.0"


def test_one_table_of_flags_is_enough() -> None:
    assert table_versions("quickserve") == ("2.0",)
    assert codes(made()) == ["model-assumed"]
    assert codes(made("3.0")) == ["model-assumed", "engine-version-unknown"]
    assert codes(made("1.0")) == ["model-assumed", "engine-version-unknown"]


def test_a_plan_is_made_and_rendered_in_every_format() -> None:
    (command,) = made(values={"port": "9000"}).commands
    assert argv(command) == [
        *("quickserve", "run", "moonshotai/Kimi-K2-Instruct"),
        *("--listen", "9000", "--gpus", "8", "--workers", "quick-8"),
    ]
    for name in FORMATS:
        made_here = plan("quickserve", nodes=("1",), gpu="b300")
        assert any("quickserve" in script.text for script in render_plan(made_here, name).values())


def test_a_user_s_own_flags_reach_it() -> None:
    (command,) = made(settings=("share=0.5",)).commands
    assert argv(command)[-2:] == ["--share", "0.5"]
    sizes = model_sizes(MODEL.config)
    assert isinstance(sizes, ModelSizes)
    assert fits_of(made(settings=("share=0.7",)), sizes)[""].utilisation == 0.7
    assert fits_of(made(), sizes)[""].verdict is Verdict.FITS


def test_a_command_line_is_checked_and_modernized() -> None:
    (finding,) = check_arguments("quickserve", "2.0", "run", ["m", "--bind", "80"])
    assert (finding.code, finding.expected) == ("flag-renamed", "--listen 80")
    modern = modernize_text("quickserve run m --bind 80  # old\n")
    assert modern.text == "quickserve run m --listen 80  # old\n"
    assert [command.engine for command in modern.commands] == ["quickserve"]


def test_its_preflight_judges_the_plan_and_the_node(tmp_path: Path) -> None:
    found = preflight_plan(made(), MODEL, node_rank="0", environment={"PATH": str(tmp_path)})
    errors = {each.code for each in found.findings if each.severity is Severity.ERROR}
    assert "engine-missing" in errors
    assert packages_of_interest("quickserve")[0] == "quickserve-server"
    assert list(ports_of(("quickserve", "run", "m"))) == [("metrics", 7000)]


def test_the_installed_parser_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quickserve: Path
) -> None:
    (tmp_path / "quickserve_server.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    verdict = check_installed("quickserve", "run", "2.0", ["m", "--bind", "80"])
    assert "--bind" in verdict.complaint


def test_a_fact_that_nothing_derives_is_refused(quickserve: Path) -> None:
    (quickserve / "derive.py").unlink()
    read_profile.cache_clear()
    with pytest.raises(ValueError, match="there is no fact 'quick'"):
        made()
