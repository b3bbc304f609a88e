"""Releases with a known fault: each is named from its first release on, and not at its end."""

from pathlib import Path

import pytest
from packaging.version import Version

from k2compat.launch import engines
from k2compat.launch.engines.faults import Fault, faults_of
from k2compat.launch.engines.profile_entries import Situation
from k2compat.launch.flags import ENGINES, flag_table, read_arguments, table_versions
from k2compat.launch.flags.faults import check_harm
from tests.launch.support import codes, plan

FAULTS = [(engine, fault) for engine in ENGINES for fault in faults_of(engine)]
each_fault = pytest.mark.parametrize(
    ("engine", "fault"), FAULTS, ids=[f"{engine} {fault.versions}" for engine, fault in FAULTS]
)
KNOWN = {"release-known-bad", "release-fault"}


def ends(fault: Fault) -> tuple[Version, Version]:
    """The first release of a fault, and the one without it."""
    first, end = fault.versions.split(",")
    return Version(first.removeprefix(">=")), Version(end.removeprefix("<"))


def found(engine: str, fault: Fault, version: str, *less: str, entry: str = "") -> set[str]:
    """The messages for a command that has a fault's flags and facts, but for those left out."""
    table = flag_table(engine, version, fault.entry)
    words: list[str] = []
    for each in (*fault.flags, *less):
        name, _, value = each.partition("=")
        flag = table.find(name)
        takes_one = flag is not None and flag.max_values != 0
        words += [name, *([value or "3"] if value or takes_one else [])]
    situation = Situation("default", "", Version(version), frozenset(fault.when))
    reading = read_arguments(table, words)
    told = check_harm(engine, situation, entry or fault.entry, (), reading)
    return {finding.message for finding in told if finding.code in KNOWN}


@each_fault
def test_a_fault_is_named_within_its_releases_alone(engine: str, fault: Fault) -> None:
    first, end = ends(fault)
    assert first < end
    for version in (f"{first}", f"{first}.post1" if not first.is_postrelease else f"{first}"):
        assert fault.message in found(engine, fault, version)
    assert fault.message not in found(engine, fault, f"{end}")
    assert fault.message not in found(engine, fault, f"{first.major}.{first.minor - 1}.99")


@each_fault
def test_a_faults_flags_are_the_engines(engine: str, fault: Fault) -> None:
    tables = [flag_table(engine, version, fault.entry) for version in table_versions(engine)[-2:]]
    for each in (*fault.flags, *fault.unless):
        name = each.partition("=")[0]
        assert any(table.find(name) for table in tables), name


@each_fault
def test_a_flag_that_avoids_a_fault_silences_it(engine: str, fault: Fault) -> None:
    version = str(ends(fault)[0])
    for way in fault.unless:
        assert fault.message not in found(engine, fault, version, way)
    assert fault.message not in found(engine, fault, version, entry="another program")


@each_fault
def test_a_fault_names_the_issue_and_a_way_out(engine: str, fault: Fault) -> None:
    assert "github.com/" in fault.source
    assert fault.fix.startswith("Use ")
    assert fault.message.endswith(".")


@pytest.mark.parametrize(
    ("engine", "version", "options", "code"),
    [
        ("vllm", "0.18.0", {"strategy": "tp-pp", "nodes": ("a", "b")}, "release-known-bad"),
        ("vllm", "0.18.1", {"strategy": "tp-pp", "nodes": ("a", "b")}, None),
        ("vllm", "0.18.0", {"nodes": ("a", "b")}, None),
        ("vllm", "0.25.1", {"gpu": "b200"}, "release-known-bad"),
        ("vllm", "0.25.1", {"gpu": "h200"}, None),
        ("vllm", "0.19.1", {"model": "Kimi-K2.5"}, "release-fault"),
        ("vllm", "0.19.1", {"model": "Kimi-K2-Thinking"}, None),
        ("sglang", "0.5.10.post1", {"gpu": "b200", "nodes": ("a", "b")}, "release-fault"),
        (
            "sglang",
            "0.5.10.post1",
            {"gpu": "b200", "settings": ("attention-backend=flashinfer",)},
            None,
        ),
        ("ktransformers", "0.5.1", {}, "release-known-bad"),
        ("ktransformers", "0.5.3", {"model": "Kimi-K2.5"}, None),
        (
            "ktransformers",
            "0.5.3",
            {"model": "Kimi-K2.5", "settings": ("kt-num-gpu-experts=0",)},
            "release-known-bad",
        ),
        ("ktransformers", "0.7.2", {"model": "Kimi-K2.5"}, None),
    ],
)
def test_a_plan_names_a_fault_once(
    engine: str, version: str, options: dict[str, object], code: str | None
) -> None:
    told = codes(plan(engine, engine_version=version, **options))  # type: ignore[arg-type]
    assert [each for each in told if each in KNOWN] == ([code] if code else [])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gpu", ["h200", "b200", "mi355x", "l20"])
def test_the_default_release_has_no_known_fault(engine: str, gpu: str) -> None:
    for model in ("Kimi-K2-Instruct", "Kimi-K2-Thinking", "Kimi-K2.5"):
        assert KNOWN.isdisjoint(codes(plan(engine, model, gpu=gpu)))


def test_a_fact_that_no_register_has_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "profile.toml").touch()
    (tmp_path / "x" / "faults.toml").write_text(
        '[[fault]]\nversions = ">=1,<2"\nentry = "e"\nwhere = "here"\nmessage = "m"\n'
        'fix = "f"\nsource = "s"\nwhen = ["visoin"]\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(engines, "__path__", [str(tmp_path)])
    faults_of.cache_clear()
    with pytest.raises(ValueError, match="no fact 'visoin', for here"):
        faults_of("x")
    faults_of.cache_clear()
