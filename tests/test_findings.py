"""The catalogue holds every code that the source uses, and no other."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import k2compat
from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding, Report, Severity, catalogue, explanation

PACKAGE = Path(k2compat.__file__).parent
ROOMS = ["", *sorted(path.parent.name for path in PACKAGE.glob("*/codes.toml"))]
# Where a code stands in the source: the first argument of these.
_NAMED = {"RefusedError", "WriteError", "HubError", "K2CompatError", "finding"}


def sources(room: str) -> list[Path]:
    """A room's modules and data; the package's own codes belong to all modules without a room."""
    if room:
        files = sorted((PACKAGE / room).rglob("*.*"))
        return [
            path for path in files if path.suffix in {".py", ".toml"} and path.name != "codes.toml"
        ]
    everything = sorted(PACKAGE.rglob("*.py"))
    return [path for path in everything if path.relative_to(PACKAGE).parts[0] not in ROOMS]


def codes_at_calls(path: Path) -> Iterator[str]:
    """The codes written out as the first argument of an error or a finding."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "id", getattr(node.func, "attr", None))
            if name in _NAMED and isinstance(node.args[0].value, str):
                yield node.args[0].value


def test_every_code_in_the_source_is_explained() -> None:
    used = {code for path in PACKAGE.rglob("*.py") for code in codes_at_calls(path)}
    assert used <= set(catalogue())


@pytest.mark.parametrize("room", ROOMS)
def test_every_explained_code_is_in_the_source(room: str) -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources(room))
    codes = {code for code, entry in catalogue().items() if entry.room == room}
    assert [code for code in codes if not re.search(rf'["\[]{code}["\]]', text)] == []


def test_no_code_has_two_meanings() -> None:
    tables = [(PACKAGE / room / "codes.toml").read_text(encoding="utf-8") for room in ROOMS]
    codes = [code for table in tables for code in re.findall(r"^\[(.+)\]$", table, re.MULTILINE)]
    assert sorted(codes) == sorted(catalogue())
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for code in codes)


def test_every_explanation_is_whole_sentences() -> None:
    for entry in catalogue().values():
        for text in (entry.summary, entry.cause, entry.cure):
            assert text.strip() == text
            assert text


def test_an_unknown_code_is_refused_with_the_nearest() -> None:
    with pytest.raises(RefusedError) as caught:
        explanation("config-not-jsn")
    assert caught.value.hint == "k2compat explain config-not-json"
    with pytest.raises(RefusedError) as caught:
        explanation("zzzzzzzz")
    assert "lists all" in caught.value.hint


def finding(code: str, severity: Severity) -> Finding:
    return Finding(code=code, severity=severity, where="", message="")


def test_a_report_is_sorted_by_severity_and_otherwise_as_found() -> None:
    found = [
        finding("a", Severity.INFO),
        finding("b", Severity.ERROR),
        finding("c", Severity.WARNING),
        finding("d", Severity.ERROR),
    ]
    report = Report(tuple(found))
    assert [entry.code for entry in report] == ["b", "d", "c", "a"]
    assert report.has_errors
    assert not Report((found[0], found[2])).has_errors


def test_a_finding_takes_its_severity_from_the_catalogue() -> None:
    made = Codes("config").finding("patch-tokenizer-remote-code", Path("/a"), "Words.", fix="do")
    assert made.as_dict() == {
        "code": "patch-tokenizer-remote-code",
        "severity": "warning",
        "where": "/a",
        "message": "Words.",
        "count": 1,
        "expected": None,
        "actual": None,
        "fix": "do",
    }
    with pytest.raises(KeyError):
        Codes("config").finding("no-such-code", "", "")


def test_a_finding_has_the_severity_of_the_catalogue() -> None:
    """A finding reads its own entry alone; the catalogue reads all of them."""
    wrong = [
        code
        for code, entry in catalogue().items()
        if Codes(entry.room).finding(code, "", "").severity is not entry.severity
    ]
    assert wrong == []


def test_a_consequence_names_its_cause_in_a_document() -> None:
    made = Codes("endpoint").finding("stream-differs", "a.stream", "Words.", items=("a.stream",))
    members = replace(made, because="markers-leaked").as_dict()
    assert (members["because"], members["items"]) == ("markers-leaked", ("a.stream",))
