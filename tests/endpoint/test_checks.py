"""The list of checks: complete, without circles, and the same in the docs."""

import re
import subprocess
import sys
from importlib.resources import files

from k2compat.endpoint import checks
from k2compat.findings import Severity, catalogue
from k2compat.gateway import STEP_NAMES
from tests.support.documentation import ROOT

# Codes of refusals, which are no checks.
REFUSALS = re.compile(r"endpoint-[a-z-]+|samples-malformed")
OF_THE_PARSER = {"markers-stripped", "other-format", "tool-undeclared", "arguments-not-object"}


def test_every_code_of_the_room_is_a_check_or_a_refusal() -> None:
    own = {code for code, entry in catalogue().items() if entry.room == "endpoint"}
    assert {code for code in own if not REFUSALS.fullmatch(code)} | OF_THE_PARSER == set(checks())


def test_every_code_in_the_source_is_a_check() -> None:
    room = files("k2compat.endpoint")
    text = "\n".join(
        path.read_text("utf-8") for path in (ROOT / "k2compat" / "endpoint").rglob("*.py")
    )
    assert room.is_dir()
    observed = set(re.findall(r'observe\(\s*"([a-z0-9-]+)"', text))
    assert observed <= set(checks())
    assert all(f'"{code}"' in text for code in checks())


def test_what_explains_and_repairs_exists() -> None:
    for code, check in checks().items():
        assert set(check.explained_by) <= set(checks()), code
        assert code not in check.explained_by
        assert check.repaired_by in ("", "reading", *STEP_NAMES), code


def test_causes_never_run_in_a_circle() -> None:
    severities = [Severity.ERROR, Severity.WARNING, Severity.INFO]
    worst = {code: severities.index(catalogue()[code].severity) for code in checks()}

    def causes_of(code: str, seen: tuple[str, ...]) -> None:
        assert code not in seen, (*seen, code)
        for cause in checks()[code].explained_by:
            if worst[cause] <= worst[code]:
                causes_of(cause, (*seen, code))

    for code in checks():
        causes_of(code, ())


def test_the_list_in_the_docs_is_up_to_date() -> None:
    """If not: python scripts/make_check_list.py"""
    script = ROOT / "scripts" / "make_check_list.py"
    subprocess.run([sys.executable, script, "--check"], check=True)
