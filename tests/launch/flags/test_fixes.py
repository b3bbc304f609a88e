"""What a fix or a cure names exists: our own commands and options, the engines' flags."""

import re
from collections.abc import Iterator
from functools import cache

import click
import pytest

from k2compat.cli.main import COMMANDS, program
from k2compat.errors import RefusedError
from k2compat.findings import catalogue
from k2compat.launch.engines.profile import read_profile
from k2compat.launch.flags import ENGINES
from k2compat.launch.flags.history import changes_of
from k2compat.launch.flags.loading import entry_points, flag_table, table_versions
from tests.launch.support import codes, plan

# Options of programs that are neither ours nor an engine's.
OTHERS = {
    *("--shm-size", "--ipc", "--ulimit", "--help", "--gpus", "--privileged", "--network"),
    *("--node-ip-address", "--local-dir", "--include", "--force-download"),  # ray, hf
    *("--jinja", "--chat-template-file", "--override-kv"),  # llama.cpp
    *("--remove-metadata", "--recursive", "--num-gpus", "--upgrade"),  # gguf, git, ray, pip
    *("--jinja", "--chat-template-file", "--override-kv"),  # llama.cpp
}
_FLAG = re.compile(r"(?<![\w-])--[a-z](?:[\w-]*\w)?(?!-\{)\b(?!-)")
_OURS = re.compile(r"(?:^|`)k2compat ([a-z-]+)")


def texts() -> Iterator[tuple[str, str]]:
    """Where a text stands, and the text."""
    for entry in catalogue().values():
        yield entry.code, entry.cure
    for engine in ENGINES:
        for number, finding in enumerate(read_profile(engine).findings):
            yield f"{engine}-{number}-{finding.code}", finding.fix or ""
    for engine in ENGINES:
        for entry_point in entry_points(engine):
            for number, change in enumerate(changes_of(engine, entry_point)):
                yield f"{engine}-{entry_point}-{number}", " ".join(change.to or ())


@cache
def our_options() -> frozenset[str]:
    context = click.Context(program)
    commands = [program.get_command(context, name) for name in COMMANDS]
    return frozenset(
        option for command in commands if command for each in command.params for option in each.opts
    )


@cache
def engines_flags() -> frozenset[str]:
    return frozenset(
        name.replace("_", "-")
        for engine in ENGINES
        for version in table_versions(engine)
        for entry in entry_points(engine)
        for flag in flag_table(engine, version, entry).flags
        for name in flag.names
    )


def test_every_option_and_command_that_is_named_exists() -> None:
    known = our_options() | OTHERS
    wrong: list[str] = []
    for place, text in texts():
        for name in _FLAG.findall(text):
            plain = name.partition(".")[0].replace("_", "-")
            if name not in known and plain not in engines_flags():
                wrong.append(f"{place}: {name}")
        wrong += [f"{place}: {name}" for name in _OURS.findall(text) if name not in COMMANDS]
    assert wrong == []


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_fix_sets_can_be_set(engine: str) -> None:
    """A fix that is written as options of launch is taken by it, at a version that it is for."""
    for finding in read_profile(engine).findings:
        settings = tuple(re.findall(r"--set (\S+)", finding.fix or ""))
        profile = (finding.profiles or ("default",))[0]
        if settings:
            assert any(
                _takes(engine, version, profile, settings) for version in table_versions(engine)
            ), finding.code


def _takes(engine: str, version: str, profile: str, settings: tuple[str, ...]) -> bool:
    try:
        found = plan(engine, settings=settings, profile=profile, engine_version=version)
    except RefusedError:
        return False
    return {"flag-unknown", "flag-value", "flag-choice"}.isdisjoint(codes(found))
