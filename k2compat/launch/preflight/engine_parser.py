"""What the engine that is installed says of a command: its own parser reads it.

The parser runs in a process of its own, started by the interpreter that would start the engine,
so that nothing of the engine is imported here. How each is asked is data: `installed.toml`.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from packaging.version import InvalidVersion, Version

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.launch.flags.command_line import Use, has_placeholder, read_arguments
from k2compat.launch.flags.table import Flag, FlagTable, flag_table, version_of

_codes = Codes("launch")

# Importing vLLM or SGLang takes tens of seconds on a cold disk.
DEFAULT_TIMEOUT_SECONDS: Final = 180.0
_COMPLAINT_AT_MOST: Final = 2000

# Read from stdin: where to look, and the arguments. The current folder is no place to import an
# engine from. What the engine prints while it is imported must not mix with the answer.
_CHILD: Final = """
import contextlib, importlib.metadata, importlib.util, io, json, os, sys
sys.path[:] = [folder for folder in sys.path if folder]
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
question = json.load(sys.stdin)
said = {"version": None, "state": "absent", "words": ""}
for name in question["distributions"]:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        said["version"] = importlib.metadata.version(name)
        break
if importlib.util.find_spec(question["module"]) is not None:
    words = io.StringIO()
    try:
        space = {"__name__": "parser"}
        exec(question["parse"], space)
    except BaseException as error:
        said.update(state="unreadable", words=f"{type(error).__name__}: {error}")
    else:
        try:
            with contextlib.redirect_stderr(words):
                space["parse"](question["arguments"])
            said.update(state="taken")
        except SystemExit as end:
            state = "refused" if end.code else "taken"
            said.update(state=state, words=words.getvalue())
        except BaseException as error:
            message = getattr(error, "format_message", lambda: str(error))()
            said.update(state="refused", words=message)
json.dump(said, answer)
answer.close()
os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class InstalledVerdict:
    """What the installed engine says.

    Attributes:
        version: The installed version; None where the engine is not installed.
        complaint: The parser's own words; "" where it takes the command, or could not be asked.
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
        arguments: What follows the program. A placeholder (`$PORT`) in the place of a number, a
            choice or JSON is replaced by one that the flag takes, since the parser cannot wait.
        python: The interpreter in whose environment the engine is.
        timeout: Seconds to wait for the engine's import and its parser.

    Raises:
        RefusedError: engine-unknown, engine-version-invalid, entry-unknown; python-missing, the
            interpreter cannot be started.
    """
    table = flag_table(engine, version, entry)
    question = _questions().get(engine, {}).get(entry)
    if question is None:
        return InstalledVerdict(
            None, "", (_unreadable(table, "How to ask its parser is not known."),)
        )
    filled = {**question, "arguments": _without_placeholders(table, arguments)}
    answer = {**question, **_ask(python, filled, timeout)}
    return _verdict(table, answer, arguments)


def _ask(python: str, question: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own interpreter, no shell
            [python, "-c", _CHILD],
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
    table: FlagTable, answer: Mapping[str, Any], arguments: Sequence[str]
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
    if version is not None and not answer.get("own_version") and _differs(version, table):
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
        return Version(installed).release != version_of(table.engine, table.version).release
    except InvalidVersion:  # a build from somebody's own sources
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
    """Argparse prints its usage first, then `PROGRAM: error: …`."""
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


def _place(use: Use, number: int, stand_in: str) -> tuple[int, str]:
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


@cache
def _questions() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    text = files("k2compat.launch").joinpath("preflight", "installed.toml").read_text("utf-8")
    return tomllib.loads(text)
