"""The profiles are data; whoever writes them is told every mistake."""

import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

from k2compat.findings import catalogue
from k2compat.launch.engines import profile as profiles
from k2compat.launch.engines.profile import ENGINES, read_profile
from k2compat.launch.engines.profile_entries import Row, Situation
from k2compat.launch.render import FORMATS

WRITTEN = [engine for engine in ENGINES if (profiles._FOLDER / engine / "profile.toml").exists()]


@pytest.mark.parametrize("engine", WRITTEN)
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


def test_a_mistake_in_a_profile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_FOLDER", tmp_path)
    text = "engine='x'\nversions={}\nclusters={}\nstrategies={}\n"
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "profile.toml").write_text(text + "comands=[]\ncommands=[]\n", encoding="utf-8")
    with pytest.raises(ValueError, match="comands"):
        read_profile("x")
    read_profile.cache_clear()
    (folder / "profile.toml").write_text(text + "commands=[]\n[sources]\nrouter='x'\n")
    with pytest.raises(ValueError, match="router"):
        read_profile("x")
    with pytest.raises(ValueError, match="flags"):
        Row.read(tomllib.loads("flag='--a'\nflags='b'"))


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
    assert Row.read({"flag": "--a", **entry}).applies(later) is applies
