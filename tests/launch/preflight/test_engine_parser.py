"""The installed engine's own parser reads the command; a stand-in plays the engine."""

from pathlib import Path

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.flags import ENGINES, entry_points, newest_version
from k2compat.launch.preflight.ask_engine import ask
from k2compat.launch.preflight.engine_parser import InstalledVerdict, check_installed

NEWEST = newest_version("sglang")
SGLANG = ("sglang", "sglang.launch_server", NEWEST)

SERVER_ARGS = """
print("imported")  # engines print while they are imported

class ServerArgs:
    @staticmethod
    def add_cli_args(parser):
        parser.add_argument("--model-path", required=True)
        parser.add_argument("--tp-size", type=int)
        parser.add_argument("--deepep-mode", choices=["auto", "normal"])
        parser.add_argument("--port", type=int)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stand-ins, where the interpreter looks for packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def install(site: Path, version: str = NEWEST, server_args: str = SERVER_ARGS) -> None:
    package = site / "sglang" / "srt"
    package.mkdir(parents=True)
    for init in (package.parent, package):
        (init / "__init__.py").touch()
    (package / "server_args.py").write_text(server_args)
    metadata = site / f"sglang-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: sglang\nVersion: {version}\n")


def codes(verdict: InstalledVerdict) -> list[str]:
    return [finding.code for finding in verdict.findings]


def test_an_absent_engine_is_no_fault(site: Path) -> None:
    verdict = check_installed(*SGLANG, ["--model-path", "m"])
    assert (verdict.version, codes(verdict)) == (None, ["engine-not-installed"])


def test_what_it_takes_gives_nothing(site: Path) -> None:
    install(site)
    line = ["--model-path", "$MODEL", "--tp-size", "$TP", "--deepep-mode=$MODE", "--port", "1"]
    assert check_installed(*SGLANG, line) == InstalledVerdict(NEWEST, "", ())
    assert check_installed(*SGLANG, ["--help"]).findings == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--model-path", "m", "--tp-size", "many"], "invalid int value: 'many'"),
        (["--model-path", "m", "--new-flag"], "unrecognized arguments: --new-flag"),
        ([], "--model-path"),
    ],
)
def test_its_complaint_is_shown_as_it_is(site: Path, line: list[str], words: str) -> None:
    install(site)
    verdict = check_installed(*SGLANG, line)
    assert codes(verdict) == ["installed-refuses"]
    assert words in verdict.complaint
    assert "usage" not in verdict.complaint


def test_an_exception_is_a_complaint_too(site: Path) -> None:
    raising = SERVER_ARGS + "        raise ValueError('no GPU')\n"
    install(site, server_args=raising)
    assert check_installed(*SGLANG, []).complaint == "no GPU"


@pytest.mark.parametrize("version", ["0.5.2", "unknown"])
def test_another_version_is_named(site: Path, version: str) -> None:
    install(site, version)
    verdict = check_installed(*SGLANG, ["--model-path", "m"])
    assert (verdict.version, codes(verdict)) == (version, ["installed-version-differs"])


@pytest.mark.parametrize(
    ("server_args", "words"),
    [
        ("import no_such_cuda", "ModuleNotFoundError"),
        ("import os\nos._exit(3)", "status 3"),
        ("import time\ntime.sleep(60)", "2 seconds"),
    ],
)
def test_an_engine_that_cannot_be_asked(site: Path, server_args: str, words: str) -> None:
    install(site, server_args=server_args)
    verdict = check_installed(*SGLANG, [], timeout=2)
    assert codes(verdict)[0] == "installed-unreadable"
    assert words in verdict.findings[0].message


def test_a_folder_called_like_the_engine_is_not_imported(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    (work / "sglang").mkdir(parents=True)
    (work / "sglang" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(work)
    assert codes(check_installed(*SGLANG, [])) == ["engine-not-installed"]


def test_the_router_counts_its_versions_by_itself(site: Path) -> None:
    package = site / "sglang_router"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "launch_router.py").write_text("def parse_router_args(argv): pass")
    metadata = site / "sglang_router-0.3.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sglang-router\nVersion: 0.3.2")
    verdict = check_installed("sglang", "sglang_router.launch_router", NEWEST, [])
    assert verdict == InstalledVerdict("0.3.2", "", ())


def test_an_interpreter_that_is_not_there_is_refused() -> None:
    with pytest.raises(RefusedError) as refused:
        check_installed(*SGLANG, [], python="/nowhere/python")
    assert refused.value.code == "python-missing"


def test_every_entry_point_of_today_can_be_asked(site: Path) -> None:
    unknown = {
        entry
        for engine in ENGINES
        for entry in entry_points(engine)
        if codes(check_installed(engine, entry, "99", [])) != ["engine-not-installed"]
    }
    assert unknown == {"sglang.srt.disaggregation.launch_lb", "disaggregated"}


def test_the_question_can_be_asked_in_this_process_too() -> None:
    question = {"distributions": ["no-such-distribution", "pytest"], "module": "no_such_engine"}
    assert ask(question) == {"version": pytest.__version__, "state": "absent", "words": ""}
