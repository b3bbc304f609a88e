"""What became of the flags: the data holds together, and answers."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from packaging.version import Version

from k2compat.launch import engines, flags
from k2compat.launch.flags import (
    ENGINES,
    changes_between,
    flag_table,
    newest_version,
    programs_of,
    todays_name,
)
from k2compat.launch.flags.history import FATAL, Change, changes_of, changes_to

NEWEST = newest_version("vllm")

SGLANG = ("sglang", "sglang.launch_server")
HISTORY = [
    change
    for engine in ENGINES
    for entry in flags.entry_points(engine)
    for change in changes_of(engine, entry)
]
# Entry points that are gone: what their flags became are flags of another one.
MOVED = {
    "sglang.srt.disaggregation.launch_lb": ("sglang", "sglang_router.launch_router"),
    "server.main": ("ktransformers", "sglang.launch_server"),
}


# Flags that came and went between two tables.
BETWEEN = {change.flag for change in HISTORY if change.takes is not None}


# Programs that count their own versions have one table, whichever the engine's version.
OWN_VERSION = {
    (engine, parser.entry)
    for engine in ENGINES
    for parser in programs_of(engine).parser
    if parser.own_version
}


def name(change: Change) -> str:
    return f"{change.entry} {change.flag} {change.kind} {change.since}"


def test_every_change_has_reason_and_source() -> None:
    wrong = [
        name(change)
        for change in HISTORY
        if not (change.reason.endswith(".") and change.source and change.flag.startswith("-"))
    ]
    assert wrong == []


def test_what_a_flag_became_is_taken_by_the_newest_parser_and_by_the_first_that_needs_it() -> None:
    wrong = [
        f"{name(change)} at {version}: {flag}"
        for change in HISTORY
        if change.kind != "added" and change.to
        for version, flag in unknown_successors(change)
    ]
    assert wrong == []


def unknown_successors(change: Change) -> Iterator[tuple[str, str]]:
    """The flags in what a change writes that the parser does not know, with the version."""
    engine, entry = MOVED.get(change.entry, (change.engine, change.entry))
    arguments = change.arguments(change.flag.replace("*", "lora"), ("8",), {"--tp-size": "8"})
    assert arguments
    newest = flags.newest_version(engine)
    versions = {newest} if change.entry in MOVED else {newest, change.since or newest}
    for version in versions:
        table = flag_table(engine, version, entry)
        for part in arguments:
            flag = part.split("=")[0]
            if part.startswith("--") and isinstance(table.resolve(flag), flags.Unknown):
                yield version, flag


def test_the_oldest_table_knows_what_later_went() -> None:
    wrong: list[str] = []
    for change in HISTORY:
        one_table = change.flag in BETWEEN or (change.engine, change.entry) in OWN_VERSION
        if change.kind in FATAL and not change.conditional and not one_table:
            table = flag_table(change.engine, flags.table_versions(change.engine)[0], change.entry)
            if "*" not in change.flag and table.find(change.flag) is None:
                wrong.append(name(change))
    assert wrong == []


@pytest.mark.parametrize(
    ("version", "known", "deprecated"),
    [
        ("0.4.9.post2", False, False),
        ("0.5.1", False, False),
        ("0.5.2", True, False),
        ("0.5.8", True, True),
        ("0.5.19", True, True),
        ("0.5.20", False, False),
        ("0.5.23", False, False),
    ],
)
def test_a_flag_that_came_and_went_is_known_in_between(
    version: str, *, known: bool, deprecated: bool
) -> None:
    flag = "--prefill-round-robin-balance"
    assert (flag_table("sglang", version, SGLANG[1]).find(flag) is not None) == known
    told = [
        finding.code
        for finding in flags.check_arguments(SGLANG[0], version, SGLANG[1], ["--model", "m", flag])
    ]
    assert ("flag-deprecated" in told) == deprecated
    assert (told == []) == (known and not deprecated)


@pytest.mark.parametrize(
    ("engine", "older", "newer", "entry"),
    [
        ("vllm", "0.10.0", NEWEST, "serve"),
        ("sglang", "0.4.9.post2", "0.5.23", "sglang.launch_server"),
        ("trtllm", "1.0.0rc2", "1.3.0rc29", "serve"),
    ],
)
def test_every_flag_that_went_is_in_the_history(
    engine: str, older: str, newer: str, entry: str
) -> None:
    before, after = flag_table(engine, older, entry), flag_table(engine, newer, entry)
    names = {name for flag in before.flags for name in flag.names}
    gone = {name for name in names if after.find(name) is None}
    told = changes_of(engine, entry)
    untold = {name for name in gone if not any(change.is_about(name) for change in told)}
    assert untold == set()


@pytest.mark.parametrize(
    ("flag", "version", "expected"),
    [
        ("--cuda-graph-bs", "0.5.13", "--cuda-graph-bs"),
        ("--cuda-graph-bs", "0.5.23", "--cuda-graph-bs-decode"),
        ("--enable-deepep-moe", "0.5.23", "--moe-a2a-backend"),
        ("--collect-tokens-histogram", "0.5.23", None),
        ("--torchao-config", "0.5.23", None),
        ("--never-there", "0.5.23", None),
        ("--tp-size", "0.5.23", "--tp-size"),
    ],
)
def test_todays_name(flag: str, version: str, expected: str | None) -> None:
    assert todays_name(*SGLANG, flag, version) == expected


def test_changes_between_two_versions() -> None:
    assert [change.flag for change in changes_between(*SGLANG, "0.5.21", "0.5.22")] == [
        "--attn-dp-size",
        "--dp-size",
        "--enable-dp-attention",
        "--enable-flashinfer-allreduce-fusion",
    ]
    whole = changes_between("vllm", "serve", "0.10.0", NEWEST)
    assert {"--num-redundant-experts", "--swap-space"} <= {change.flag for change in whole}
    half = changes_between("vllm", "serve", "0.10.0", "0.21")
    assert "--num-redundant-experts" not in {change.flag for change in half}


def test_conditions() -> None:
    change = Change(
        engine="e",
        entry="s",
        flag="--x",
        kind="refused",
        requires=("--y",),
        unless=("--z",),
        values=("9", "10"),
        above_gpus=True,
        count=1,
        containing="1",
        reason=".",
        source=".",
    )
    assert change.conditional
    assert change.holds({"--y": ()}, ("10",))
    for names, values in [
        (set(), ("10",)),
        ({"--y", "--z"}, ("10",)),
        ({"--y"}, ("11",)),
        ({"--y"}, ("10", "10")),
        ({"--y"}, ("9",)),
        ({"--y"}, ("$N",)),
    ]:
        assert not change.holds(dict.fromkeys(names, ()), values)
    assert not change.holds({"--y": ()}, ("10",), gpus_per_node=16)
    above_nine = msgspec.structs.replace(change, containing="9")
    assert not above_nine.holds({"--y": ()}, ("9",), gpus_per_node=16)
    assert above_nine.holds({"--y": ()}, ("9",), gpus_per_node=4)


def test_templates() -> None:
    def arguments(to: tuple[str, ...] | None, each: bool = False) -> tuple[str, ...] | None:
        change = Change(
            engine="e",
            entry="s",
            flag="--no-*",
            kind="renamed",
            to=to,
            each=each,
            reason="",
            source="",
        )
        return change.arguments("--no-x", ("1", "2"), {"--y": "3"})

    assert arguments(None) is None
    assert arguments(()) == ()
    assert arguments(("--a", "{value}")) == ("--a", "1", "2")
    assert arguments(("--a", "{value}"), each=True) == ("--a", "1", "--a", "2")
    assert arguments(("--a", '{"b": {value}}')) == ("--a", '{"b": 1 2}')
    assert arguments(("--{rest}", "{--y}")) == ("--x", "3")
    assert arguments(("--a", "{--absent}")) is None


class TestOneFlag:
    """Only the sections of a flag are parsed; the answer is that of the whole history."""

    @pytest.mark.parametrize("engine", ENGINES)
    def test_the_changes_of_a_flag_are_those_of_the_whole_history(self, engine: str) -> None:
        late = Version("999")
        wrong = []
        for entry in {change.entry for change in HISTORY if change.engine == engine}:
            changes = changes_of(engine, entry)
            for flag in {change.flag.replace("*", "lora") for change in changes} | {"--no-such"}:
                about = [change for change in changes if change.is_about(flag)]
                found = changes_to(engine, entry, flag, late)
                if sorted(map(name, found)) != sorted(map(name, about)):
                    wrong.append(f"{entry} {flag}")
        assert wrong == []

    @pytest.mark.parametrize("written", ["""flag = '--old-name""", """"flag" = "--old-name"""])
    def test_a_flag_that_is_written_in_another_way_is_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
    ) -> None:
        engine = f"other{len(written)}"
        path = self.made_up(tmp_path, monkeypatch, engine)
        text = path.read_text(encoding="utf-8")
        first = text.index("flag = ")
        end = text.index("\n", first)
        quote = "'" if "'" in written else '"'
        flag = text[first:end].split('"')[1]
        changed = text[:first] + written.replace("--old-name", flag) + quote + text[end:]
        path.write_text(changed, encoding="utf-8")
        assert changes_to(engine, "run", flag, Version("999"))

    def test_a_mistake_names_the_file_and_the_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = self.made_up(tmp_path, monkeypatch, "mistaken")
        text = path.read_text(encoding="utf-8")
        flag = text[text.index("flag = ") :].split('"')[1]
        path.write_text(text.replace("kind = ", "sort = ", 1), encoding="utf-8")
        with pytest.raises(ValueError, match=r"history\.toml: .*\$\.change\[0\]"):
            changes_to("mistaken", "run", flag, Version("999"))

    def test_an_engine_without_a_history_has_no_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.made_up(tmp_path, monkeypatch, "ageless").unlink()
        assert changes_to("ageless", "run", "--model", Version("999")) == ()

    def made_up(self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Path:
        source = Path(__file__).parents[1] / "engines" / "made_up" / "quickserve"
        shutil.copytree(source, folder / name)
        monkeypatch.setattr(engines, "__path__", [str(folder)])
        return folder / name / "history.toml"
