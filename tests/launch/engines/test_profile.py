"""The profiles are data; their reader reports every mistake."""

from pathlib import Path

import msgspec
import pytest
from packaging.version import Version

from k2compat.findings import catalogue
from k2compat.launch import engines
from k2compat.launch.engines.profile import read_profile
from k2compat.launch.engines.profile_entries import Row, Situation
from k2compat.launch.flags import ENGINES
from k2compat.launch.render import FORMATS


@pytest.mark.parametrize("engine", ENGINES)
def test_every_profile_can_be_read_and_refers_to_what_is_there(engine: str) -> None:
    profile = read_profile(engine)
    assert profile.engine == engine
    used = {
        group for command in profile.commands for group in (*command.flags, *command.environment)
    }
    assert used == set(profile.rows)
    files = {group for command in profile.commands for group in command.file_groups}
    assert files == set(profile.files)
    assert {limit.format for limit in profile.limits} <= set(FORMATS)
    for strategies in profile.clusters.values():
        assert set(strategies) <= set(profile.strategies)
    for finding in profile.findings:
        assert catalogue()[finding.code].room == "launch"
    rows = [row for group in profile.rows.values() for row in group]
    for entry in (
        *rows,
        *profile.findings,
        *profile.prerequisites,
        *profile.forbidden,
        *profile.limits,
    ):
        assert entry.source, f"{entry} names no source"


PROFILE = """
engine = "x"
[versions]
[clusters]
[strategies]
"""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("comands = []", "unknown field `comands`"),
        ("commands = 3", r"Expected `array`, got `int` - at `\$.commands`"),
        ("commands = []\n[[rows.a]]\nflags = 'b'", r"unknown field `flags` - at `\$.rows"),
        ("commands = []\n[sources]\nrouter = 'x'", "router, which is no group"),
        ("commands = []\n[[rows.a]]\nflag = '-a'\nwhen = ['multi_nodes']", "no fact 'multi_nodes'"),
        (
            "commands = []\n[[limits]]\nformat='sh'\nreason=''\nhint=''\nsource=''\nwhen=['!x']",
            "'!x'",
        ),
        ("commands = []\n[[rows.a]]\nflag = '-a'\nwhen = ['given:prt']", "no fact 'given:prt'"),
    ],
)
def test_a_mistake_in_a_profile_is_refused_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, words: str
) -> None:
    monkeypatch.setattr(engines, "__path__", [str(tmp_path)])
    folder = tmp_path / "x"
    folder.mkdir()
    first, *rest = more.split("\n", 1)
    text = "\n".join([first, PROFILE, *rest])
    (folder / "profile.toml").write_text(text, encoding="utf-8")
    read_profile.cache_clear()
    with pytest.raises(ValueError, match=words):
        read_profile("x")


@pytest.mark.parametrize(
    ("entry", "applies"),
    [
        ({}, True),
        ({"profiles": ["default"]}, True),
        ({"profiles": ["guide"]}, False),
        ({"strategies": ["dp-ep", "tp"]}, True),
        ({"strategies": ["pd"]}, False),
        ({"versions": ">=0.13"}, True),
        ({"versions": "<0.13"}, False),
        ({"when": ["multi_node", "!ray"]}, True),
        ({"when": ["ray"]}, False),
        ({"when": ["!multi_node"]}, False),
    ],
)
def test_an_entry_applies_where_all_it_asks_for_holds(
    entry: dict[str, object], applies: bool
) -> None:
    situation = Situation("default", "tp", Version("0.13.0rc1.post1"), frozenset({"multi_node"}))
    later = Situation("default", "tp", Version("0.13.0"), situation.facts)
    assert msgspec.convert({"flag": "--a", **entry}, Row).applies(later) is applies
