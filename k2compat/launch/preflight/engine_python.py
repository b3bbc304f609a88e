"""The interpreter in which an engine runs, and the packages that are installed there.

k2compat may be installed in an environment of its own, so its own packages are not the engine's.
`vllm` and the like are scripts whose first line names their interpreter; `python -m …` names it.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

_LONGEST_FIRST_LINE = 4096

# How pip and uv start a script whose interpreter's path is too long for `#!`, or has a space.
_EXEC = re.compile(r"""'''exec' (?:"([^"]+)"|(\S+)) "\$0" "\$@\"""")
_SECONDS = 60

# Prints name → version of those that are installed. Isolated (-I): nothing of the current
# folder is imported.
_ASK = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def engine_python(program: str, search_path: str | None = None) -> str | None:
    """The interpreter of a program; None where the program is not found or is no script."""
    found = program_path(program, search_path)
    if found is None:
        return None
    if Path(found).name.startswith("python"):
        return found
    return _interpreter_of_script(found, search_path)


def program_path(program: str, search_path: str | None = None) -> str | None:
    """The path of a program; None where it is not on the PATH."""
    return shutil.which(program, path=search_path)


def _interpreter_of_script(path: str, search_path: str | None) -> str | None:
    try:
        with open(path, "rb") as script:  # noqa: PTH123 - one line of it is enough
            first = script.readline(_LONGEST_FIRST_LINE)
            second = os.fsdecode(script.readline(_LONGEST_FIRST_LINE))
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:]).split()
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    launched = _EXEC.match(second)
    if launched:
        words = [launched[1] or launched[2]]
    if words and Path(words[0]).name.startswith("python"):
        return shutil.which(words[0], path=search_path)
    return None


def installed_versions(python: str, packages: Iterable[str]) -> Mapping[str, str] | None:
    """Distribution → version in an interpreter; None where the interpreter does not answer."""
    try:
        answer = subprocess.run(  # noqa: S603 - the interpreter that the plan would start
            [python, "-I", "-c", _ASK, *packages],
            capture_output=True,
            check=True,
            timeout=_SECONDS,
        )
        versions = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return versions if isinstance(versions, dict) else None
