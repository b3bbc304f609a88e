"""How an engine's programs are started, and what took the place of gone ones."""

import shlex

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.flags import ENGINES, flag_table, newest_version
from k2compat.launch.flags.programs import (
    all_entry_points,
    engine_aliases,
    entry_point,
    recognize,
    todays_entry,
)


def test_every_entry_point_has_a_table_and_a_successor_that_is_there() -> None:
    for entry in all_entry_points():
        assert entry.engine in ENGINES
        assert flag_table(entry.engine, newest_version(entry.engine), entry.table).flags
        today = todays_entry(entry.engine, entry.name)
        assert today.engine == entry.engine
        if today != entry:
            assert entry.reason.endswith(".")
            assert entry.source


@pytest.mark.parametrize(
    ("line", "engine", "name", "words"),
    [
        ("vllm serve m", "vllm", "serve", 2),
        ("/opt/venv/bin/vllm serve m", "vllm", "serve", 2),
        ("python3.12 -m vllm.entrypoints.openai.api_server", "vllm", "api_server", 3),
        ("python -m sglang.launch_server --tp 8", "sglang", "sglang.launch_server", 3),
        ("/usr/bin/python3 -m sglang.launch_server", "sglang", "sglang.launch_server", 3),
        ("python ktransformers/server/main.py --port 1", "ktransformers", "server.main", 2),
        ("python /opt/ktransformers/server/main.py", "ktransformers", "server.main", 2),
        ("kt run m", "ktransformers", "kt run", 2),
        ("trtllm-serve m", "trtllm", "serve", 1),
        ("trtllm-serve serve m", "trtllm", "serve", 2),
        ("trtllm-serve disaggregated -c x", "trtllm", "disaggregated", 2),
    ],
)
def test_a_program_is_recognized(line: str, engine: str, name: str, words: int) -> None:
    found = recognize(shlex.split(line))
    assert found is not None
    assert (found[0].engine, found[0].name, found[1]) == (engine, name, words)


@pytest.mark.parametrize("line", ["", "vllm bench", "pythonista -m sglang.launch_server", "ls"])
def test_other_programs_are_not(line: str) -> None:
    assert recognize(shlex.split(line)) is None


@pytest.mark.parametrize(
    ("engine", "name", "version", "expected"),
    [
        ("sglang", "sglang.srt.disaggregation.launch_lb", "0.5.1", None),
        ("sglang", "sglang.srt.disaggregation.launch_lb", "0.5.2", "sglang_router.launch_router"),
        ("ktransformers", "server.main", "0.4.1", None),
        ("ktransformers", "server.main", None, "sglang.launch_server"),
    ],
)
def test_todays_entry(engine: str, name: str, version: str | None, expected: str | None) -> None:
    assert todays_entry(engine, name, version).name == (expected or name)


def test_an_entry_point_that_is_not_there_yet_is_refused() -> None:
    with pytest.raises(RefusedError) as refused:
        todays_entry("ktransformers", "kt run", "0.3.2")
    assert refused.value.code == "entry-gone"
    with pytest.raises(RefusedError) as refused:
        entry_point("vllm", "launch")
    assert refused.value.code == "entry-unknown"


def test_the_command_to_render() -> None:
    assert entry_point("sglang", "sglang.launch_server").command("python3") == (
        "python3",
        "-m",
        "sglang.launch_server",
    )


def test_engines_answer_to_what_people_call_them() -> None:
    assert engine_aliases()["tensorrt-llm"] == "trtllm"
    assert not engine_aliases().keys() & set(ENGINES)
