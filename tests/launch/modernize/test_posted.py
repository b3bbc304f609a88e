"""Posted commands are read as what they are; what they become, the engine's table takes."""

import re

import pytest

from k2compat.findings import Severity
from k2compat.launch.flags import check_arguments, entry_point
from k2compat.launch.modernize.command_text import CommandText
from k2compat.launch.modernize.forms import read_document
from k2compat.launch.modernize.places import program_in
from k2compat.launch.modernize.rewrite import Modernized, modernize_text
from tests.launch.modernize.composed import COMPOSED
from tests.launch.modernize.posted import CONFIG, POSTED, Posted

ALL = {**POSTED, **COMPOSED}


def modern(posted: Posted) -> Modernized:
    return modernize_text(posted.text, {"": posted.version} if posted.version else None)


def errors(modernized: Modernized) -> list[str]:
    findings = [*modernized.findings, *(f for c in modernized.commands for f in c.findings)]
    return [str(found.message) for found in findings if found.severity is Severity.ERROR]


def test_there_are_thirty_that_name_their_thread() -> None:
    threads = [posted.thread for posted in POSTED.values()]
    assert len({*threads}) >= 30
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", thread) for thread in threads)


def test_threads_older_than_kimi_k2_show_the_form_alone() -> None:
    """The numbers that vLLM and SGLang had reached when the model came out, in July 2025."""
    reached = {"vllm-project/vllm": 20700, "sgl-project/sglang": 7900}
    for posted in POSTED.values():
        repository, _, number = posted.thread.partition("#")
        if int(number) < reached.get(repository, 0):
            assert posted.shows == "form", posted.thread


@pytest.mark.parametrize("name", ALL)
def test_it_is_read_as_what_it_is(name: str) -> None:
    posted = ALL[name]
    found = modern(posted)
    assert found.form == posted.form
    assert tuple(command.engine for command in found.commands) == posted.engines
    assert errors(found) == []


@pytest.mark.parametrize("name", ALL)
def test_it_becomes_what_was_meant(name: str) -> None:
    text = modern(ALL[name]).text
    for then in ALL[name].then:
        absent = then.removeprefix("not ")
        assert (absent not in text) if absent != then else (then in text), text


@pytest.mark.parametrize("name", ALL)
def test_the_rest_stays_to_the_character(name: str) -> None:
    """Lines that hold nothing of a command, an image or a variable are where they were."""
    posted = ALL[name]
    found = modern(posted)
    pieces = [line for command in found.commands for line in command.before.split("\n")]
    if posted.form == CONFIG:
        pieces = posted.text.split("\n")
    lines = [
        line
        for line in posted.text.split("\n")
        if not any(piece.strip() and piece.strip() in line for piece in pieces)
        and "image:" not in line
    ]
    rest = iter(found.text.split("\n"))
    assert [line for line in lines if line not in rest] == []


@pytest.mark.parametrize("name", ALL)
def test_the_engine_takes_what_it_became(name: str) -> None:
    found = modern(ALL[name])
    again = modern(Posted("", (), found.text, version=ALL[name].version))
    assert again.text == found.text
    assert [c.changes for c in again.commands] == [() for _ in found.commands]
    read = (command for command in read_document(found.text).commands if program_in(command))
    for command, modernized in zip(
        sorted(read, key=lambda each: each.start), found.commands, strict=True
    ):
        words = arguments(command)
        table = entry_point(modernized.engine, modernized.entry).table
        if command.settings_of:
            words = ["m", *words[2:]]  # the model is a key there
        wrong = check_arguments(modernized.engine, modernized.engine_version, table, words)
        later = {word for word in words if "$(" in word}  # Kubernetes fills it in
        assert [
            f.message for f in wrong if f.severity is Severity.ERROR and f.actual not in later
        ] == []


def arguments(command: CommandText) -> list[str]:
    place = program_in(command)
    assert place is not None
    return [word.value for word in command.words[place.arguments :]]
