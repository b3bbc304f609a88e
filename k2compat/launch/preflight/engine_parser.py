"""The verdict of the installed engine's own parser on a command.

The parser runs in a process of its own, with the interpreter that would start the engine, so that
nothing of the engine is imported here: `ask_engine.py` calls `engines/ENGINE/ask_parser.py` there.
The places of the parsers are data: [[parser]] in `engines/ENGINE/entry_points.toml`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from packaging.version import InvalidVersion, Version

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.launch.engines import engine_folder
from k2compat.launch.flags import (
    Flag,
    FlagTable,
    FlagUse,
    InstalledParser,
    entry_of,
    flag_table,
    has_placeholder,
    programs_of,
    read_arguments,
)
from k2compat.launch.plan import Plan
from k2compat.launch.preflight.engine_python import engine_python

_codes = Codes("launch")

# Importing vLLM or SGLang takes tens of seconds on a cold disk.
DEFAULT_TIMEOUT_SECONDS: Final = 180.0
_COMPLAINT_AT_MOST: Final = 2000

_CHILD: Final = Path(__file__).with_name("ask_engine.py")


@dataclass(frozen=True, slots=True)
class InstalledVerdict:
    """The verdict of the installed engine.

    Attributes:
        version: The installed version; None where the engine is not installed.
        complaint: The parser's error; "" where it accepts the command, or could not be asked.
        findings: The same as findings.
    """

    version: str | None
    complaint: str
    findings: tuple[Finding, ...]


def check_installed(
    engine: str,
    entry: str,
    version: str,
    arguments: Sequence[str],
    *,
    python: str = sys.executable,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> InstalledVerdict:
    """Let the installed engine's own parser read a command's arguments.

    Args:
        engine: vllm, sglang, ktransformers or trtllm.
        entry: The entry point, as the tables name it.
        version: The version the command is written for.
        arguments: The words after the program. A placeholder (`$PORT`) in the place of a number, a
            choice or JSON is replaced by a value that the flag takes: its own is not known yet.
        python: The interpreter in whose environment the engine is.
        timeout: Seconds to wait for the engine's import and its parser.

    Raises:
        RefusedError: engine-unknown, engine-version-invalid, entry-unknown; python-missing, the
            interpreter cannot be started.
    """
    table = flag_table(engine, version, entry)
    parsers = {parser.entry: parser for parser in programs_of(engine).parser}
    if entry not in parsers:
        return InstalledVerdict(
            None, "", (_unreadable(table, "How to ask its parser is not known."),)
        )
    parser = parsers[entry]
    question = {
        "file": str(engine_folder(engine) / "ask_parser.py"),
        "entry": entry,
        "module": parser.module,
        "distributions": parser.distributions,
        "arguments": _without_placeholders(table, arguments),
    }
    return _verdict(table, parser, _ask(python, question, timeout), arguments)


def _ask(python: str, question: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own interpreter, no shell
            [python, str(_CHILD)],
            input=json.dumps(question).encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        answer: Mapping[str, Any] = json.loads(done.stdout)
    except OSError as error:
        raise RefusedError(
            "python-missing",
            f"{python} cannot be started: {error.strerror}.",
            hint="Name the interpreter of the engine's environment.",
        ) from error
    except subprocess.TimeoutExpired:
        return _silent(f"It gave no answer in {timeout:g} seconds.")
    except ValueError:
        return _silent(f"It ended with status {done.returncode} before it answered.")
    return answer


def _silent(words: str) -> Mapping[str, Any]:
    return {"version": None, "state": "unreadable", "words": words}


def _verdict(
    table: FlagTable, parser: InstalledParser, answer: Mapping[str, Any], arguments: Sequence[str]
) -> InstalledVerdict:
    version, words = answer["version"], str(answer["words"]).strip()[-_COMPLAINT_AT_MOST:]
    findings: list[Finding] = []
    complaint = ""
    match answer["state"]:
        case "absent":
            return InstalledVerdict(None, "", (_absent(table),))
        case "unreadable":
            findings.append(_unreadable(table, words))
        case "refused":
            complaint = _last_words(words)
            findings.append(
                _codes.finding(
                    "installed-refuses",
                    table.entry,
                    f"The installed {table.engine} refuses the command: {complaint}",
                    expected="what its own parser takes",
                    actual=" ".join(arguments),
                )
            )
    if version is not None and not parser.own_version and _differs(version, table):
        findings.append(
            _codes.finding(
                "installed-version-differs",
                table.engine,
                f"The command is for {table.engine} {table.version}; installed is {version}.",
                expected=table.version,
                actual=version,
                fix=("--engine-version", version),
            )
        )
    return InstalledVerdict(version, complaint, tuple(findings))


def _differs(installed: str, table: FlagTable) -> bool:
    try:
        return Version(installed).release != table.at.release
    except InvalidVersion:  # a build from the user's own sources
        return True


def _absent(table: FlagTable) -> Finding:
    return _codes.finding(
        "engine-not-installed",
        table.engine,
        f"{table.engine} is not installed here, so its own parser could not read the command.",
    )


def _unreadable(table: FlagTable, words: str) -> Finding:
    return _codes.finding(
        "installed-unreadable",
        table.entry,
        f"The parser of the installed {table.engine} could not be asked. {words}",
    )


def _last_words(words: str) -> str:
    """The error in argparse's output, which is its usage and then `PROGRAM: error: …`."""
    _, found, complaint = words.rpartition("error: ")
    return complaint.strip() if found else words


def _without_placeholders(table: FlagTable, arguments: Sequence[str]) -> list[str]:
    filled = list(arguments)
    for use in read_arguments(table, arguments).uses:
        stand_in = _stand_in(use.flag)
        if stand_in is None:
            continue
        for number, value in enumerate(use.values):
            if has_placeholder(value):
                at, text = _place(use, number, stand_in)
                filled[at] = text
    return filled


def _place(use: FlagUse, number: int, stand_in: str) -> tuple[int, str]:
    if use.joined:
        return use.at, f"{use.name}={stand_in}"
    return use.at + 1 + number, stand_in


def _stand_in(flag: Flag | None) -> str | None:
    """A value that the flag takes; None where any text will do."""
    if flag is None:
        return None
    if flag.choices:
        return flag.choices[0]
    return {"int": "1", "float": "1", "size": "1", "json": "{}", "json object": "{}"}.get(flag.type)


def check_plan_installed(plan: Plan) -> Iterator[Finding]:
    """Let the installed engine read the commands: only one of each kind, since each takes seconds.

    Commands with the same flags differ only in values such as ranks and addresses. The interpreter
    is the one that would start the engine.
    """
    asked: set[tuple[str, frozenset[str]]] = set()
    for command in plan.commands:
        if command.entry is None:
            continue
        start, entry = entry_of(command, plan.engine)
        words = [str(word) for word in command.argv]
        kind = entry.table, frozenset(word for word in words if word.startswith("-"))
        if kind in asked:
            continue
        asked.add(kind)
        verdict = check_installed(
            plan.engine,
            entry.table,
            plan.engine_version,
            words[start:],
            python=engine_python(words[0]) or sys.executable,
        )
        for finding in verdict.findings:
            yield replace(finding, where=f"{command.id}: {finding.where}")
        if verdict.version is None:
            return  # not installed, or no answer: the other commands would give the same
