"""Finding a flag, and the table that answers for a version."""

import argparse
import json
import shutil
from pathlib import Path

import pytest
from packaging.version import Version

from k2compat.errors import RefusedError
from k2compat.launch import engines, flags
from k2compat.launch.flags import (
    ENGINES,
    Abbreviated,
    Ambiguous,
    Exact,
    Unknown,
    flag_table,
    loading,
    newest_version,
)
from tests.support.parsers import argparse_parser

NEWEST = newest_version("vllm")

SGLANG = "sglang.launch_server"
EVERY_TABLE = [
    (engine, version, entry)
    for engine in ENGINES
    for version in flags.table_versions(engine)
    for entry in flags.entry_points(engine)
]


@pytest.mark.parametrize("engine", ENGINES)
def test_versions_are_ordered(engine: str) -> None:
    versions = flags.table_versions(engine)
    assert flags.newest_version(engine) == versions[-1]
    values = [flags.version_of(engine, version) for version in versions]
    assert values == sorted(values)


MADE_UP = Path(__file__).parents[1] / "engines" / "made_up" / "quickserve"


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An engine with tables for 0.4.9.post2, 0.10.0, 1.2.0rc0 (under a name) and 2.0."""
    folder = tmp_path / "engines" / "nearserve"
    shutil.copytree(MADE_UP, folder)
    document = json.loads((folder / "flags.json").read_text())
    (table,) = document["tables"]
    versions = {"2.0": None, "0.10.0": None, "0.4.9.post2": None, "2025-autumn": "1.2.0rc0"}
    document["tables"] = [
        {**table, "version": version, **({"stands_for": as_number} if as_number else {})}
        for version, as_number in versions.items()
    ]
    (folder / "flags.json").write_text(json.dumps(document))
    monkeypatch.setattr(engines, "__path__", [str(folder.parent)])
    return folder.name


@pytest.mark.parametrize(
    ("version", "checked_by"),
    [
        ("0.1", "0.4.9.post2"),
        ("0.4.10", "0.4.9.post2"),
        ("0.6", "0.4.9.post2"),
        ("0.7", "0.10.0"),
        ("0.10.0rc1", "0.10.0"),
        ("0.10.0", "0.10.0"),
        ("0.99", "0.10.0"),
        ("1.0", "2025-autumn"),
        ("1.2.0rc5", "2025-autumn"),
        ("2025-autumn", "2025-autumn"),
        ("1.9", "2025-autumn"),
        ("2.0", "2.0"),
        ("3", "2.0"),
    ],
)
def test_the_nearer_table_answers(made_up: str, version: str, checked_by: str) -> None:
    assert flag_table(made_up, version, "run").checked_by == checked_by


def test_two_pre_releases_of_one_version_are_told_apart() -> None:
    assert Version("1.2.0rc0") == flags.version_of("trtllm", "2025-autumn")
    assert flag_table("trtllm", "1.2.0rc5", "serve").checked_by == "2025-autumn"


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (("vlm", NEWEST, "serve"), "engine-unknown", "vllm"),
        (("llama.cpp", NEWEST, "serve"), "engine-unknown", "Choose"),
        (("vllm", "newest", "serve"), "engine-version-invalid", NEWEST),
        (("vllm", NEWEST, "bench"), "entry-unknown", "serve"),
    ],
)
def test_what_is_not_there_is_refused(
    arguments: tuple[str, str, str], code: str, hint: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        flag_table(*arguments)
    assert refused.value.code == code
    assert hint in refused.value.hint


@pytest.mark.parametrize(("engine", "version", "entry"), EVERY_TABLE)
def test_every_name_finds_its_flag(engine: str, version: str, entry: str) -> None:
    table = flag_table(engine, version, entry)
    assert table.flags
    for flag in table.flags:
        assert flag.name in flag.names
        for name in flag.names:
            assert table.find(name) == flag
            assert table.resolve(name) == Exact(flag)


def test_argparse_completes_a_beginning_and_click_does_not() -> None:
    table = flag_table("sglang", "0.5.23", SGLANG)
    resolution = table.resolve("--tp")
    assert isinstance(resolution, Abbreviated)
    assert resolution.full_name == "--tp-size"
    assert isinstance(flag_table("trtllm", "1.0.0rc2", "serve").resolve("--max_num"), Unknown)


def test_an_ambiguous_beginning_names_every_candidate() -> None:
    table = flag_table("sglang", "0.5.23", SGLANG)
    resolution = table.resolve("--cuda-graph-bs")
    assert resolution == Ambiguous(("--cuda-graph-bs-decode", "--cuda-graph-bs-prefill"))
    with pytest.raises(Exception, match="ambiguous"):
        argparse_parser(table).parse_args(["--model", "m", "--cuda-graph-bs", "8"])


def test_an_unknown_name_gets_the_nearest() -> None:
    table = flag_table("vllm", NEWEST, "serve")
    assert table.resolve("--max-num-sequences") == Unknown("--max-num-seqs")
    assert table.resolve("--xyzzy") == Unknown("")
    handed_on = flag_table("ktransformers", "0.7.2", "kt run")
    assert handed_on.resolve("--schedule-polcy") == Unknown("--schedule-policy")


def test_vllm_takes_underscores_and_members_of_json_values() -> None:
    table = flag_table("vllm", NEWEST, "serve")
    assert table.resolve("--max_num_seqs") == Exact(table.find("--max-num-seqs"))  # type: ignore[arg-type]
    config = table.find("--compilation-config")
    assert config is not None
    assert table.resolve("--compilation_config.cudagraph_mode") == Exact(config, "cudagraph_mode")
    assert isinstance(table.resolve("--nothing.cudagraph_mode"), Unknown)
    sglang = flag_table("sglang", "0.5.23", SGLANG)
    assert isinstance(sglang.resolve("--model_path"), Unknown)


@pytest.mark.parametrize(
    ("version", "there", "gone"),
    [
        ("0.11.1", ["--swap-space", "--max-num-seqs"], ["--nnodes", "--max-seq-len-to-capture"]),
        ("0.11.2", ["--nnodes", "--node-rank", "--master-addr"], []),
        ("0.12.0", ["--structured-outputs-config"], ["--guided-decoding-backend"]),
        ("0.17.1", ["--swap-space"], []),
        ("0.18.0", ["--nnodes"], ["--swap-space"]),
    ],
)
def test_between_tables_the_history_decides(
    version: str, there: list[str], gone: list[str]
) -> None:
    table = flag_table("vllm", version, "serve")
    assert [name for name in there if table.find(name) is None] == []
    assert [name for name in gone if table.find(name) is not None] == []


@pytest.mark.parametrize(
    ("version", "there", "gone"),
    [
        ("0.5.2", ["--enable-deepep-moe", "--cuda-graph-bs"], ["--attn-dp-size"]),
        ("0.5.5", ["--moe-a2a-backend"], ["--enable-deepep-moe", "--cuda-graph-bs-decode"]),
        ("0.5.14", ["--cuda-graph-bs-decode", "--cuda-graph-bs"], ["--attn-dp-size"]),
        ("0.5.22", ["--attn-dp-size"], ["--cuda-graph-bs"]),
    ],
)
def test_what_a_newer_table_lost_is_there_before(
    version: str, there: list[str], gone: list[str]
) -> None:
    table = flag_table("sglang", version, SGLANG)
    assert [name for name in there if table.find(name) is None] == []
    assert [name for name in gone if table.find(name) is not None] == []


def test_a_flag_is_not_deprecated_before_it_was() -> None:
    def flag(version: str) -> flags.Flag | None:
        return flag_table("sglang", version, SGLANG).find("--enable-dp-attention")

    before, after = flag("0.5.21"), flag("0.5.22")
    assert before is not None
    assert after is not None
    assert (before.deprecated, after.deprecated) == (False, True)


def test_the_kt_flags_of_sglang_are_ktransformers_own() -> None:
    table = flag_table("ktransformers", "0.7.2", SGLANG)
    assert table.find("--kt-weight-path") is not None
    assert table.find("--max-total-tokens") is not None


def test_a_boolean_pair_knows_its_negative_names() -> None:
    table = flag_table("vllm", NEWEST, "serve")
    caching = table.find("--disable-prefix-caching")
    assert caching is not None
    assert caching.negative_names == ("--disable-prefix-caching",)
    assert caching.name == "--enable-prefix-caching"
    reduce = table.find("--disable-custom-all-reduce")
    assert reduce is not None
    assert reduce.negative_names == ("--enable-custom-all-reduce",)


def test_a_parser_can_be_built_from_every_table() -> None:
    for engine, version, entry in EVERY_TABLE:
        parser = argparse_parser(flag_table(engine, version, entry))
        assert isinstance(parser, argparse.ArgumentParser)


def test_between_two_tables_a_choice_of_either_will_do() -> None:
    def choices(version: str) -> tuple[str, ...]:
        flag = flag_table("vllm", version, "serve").find("--reasoning-parser")
        assert flag is not None
        return flag.choices

    assert "kimi_k2" not in choices("0.10.0")
    assert choices("0.10.1") == ()


def test_at_its_own_version_a_table_is_not_changed_by_the_history() -> None:
    """So `flag_table` need not read the history there."""
    wrong = []
    for engine in ENGINES:
        tables = loading._tables(engine)
        for table in tables:
            for entry, data in table.entries.items():
                others = {
                    each.version: loading._entry_flags(each.entries[entry])
                    for each in tables
                    if entry in each.entries
                }
                at = flags.version_of(engine, table.version)
                found = loading._with_history(others, table.version, engine, entry, at)
                wrong += [f"{engine} {table.version} {entry}"] * (
                    found != loading._entry_flags(data)
                )
    assert wrong == []
