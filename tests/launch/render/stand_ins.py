"""Stand-ins for the engines' programs: each writes down how it was called.

docker's stand-in starts what it should start in a container, if that has a stand-in too; what
has none (`tee`, `mkdir`) is swallowed, with its input.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_STAND_IN = """#!{python}
import json, os, sys, time
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
if name == "docker" and arguments[0] == "container":
    sys.exit(1)  # of no earlier run is one there
if name == "docker" and arguments[0] == "rm":
    sys.exit(0)  # the one that the script has started
if name == "docker" and arguments[0] == "exec":
    del arguments[0]
    while arguments[0].startswith("-"):
        if arguments.pop(0) == "-e":
            variable, _, value = arguments.pop(0).partition("=")
            os.environ[variable] = value
    os.environ["INSIDE"], program, *arguments = arguments
    if program == "sh" and arguments[1].endswith('exec "$@"'):
        program, *arguments = arguments[3:]  # what the shell becomes
    if program == "sh" and arguments[1].startswith("kill "):
        sys.exit(1)  # what it asks to end has ended
    stand_in = os.path.join(os.path.dirname(sys.argv[0]), program)
    if os.path.exists(stand_in):
        os.execv(stand_in, [stand_in, *arguments])
    sys.stdin.read()
    sys.exit(0)
files = {{w: open(w).read() for w in arguments if w.endswith(".yml") and os.path.exists(w)}}
record = {{"argv": [name, *arguments], "env": dict(os.environ), "files": files}}
path = {record!r} + f"/{{os.getpid()}}"
with open(path, "x") as file:
    json.dump(record, file)
os.rename(path, path + ".json")
end = time.monotonic() + 10
while time.monotonic() < end and sum(
    name.endswith(".json") for name in os.listdir({record!r})
) < int(os.environ.get("STAND_IN_PEERS", 0)):
    time.sleep(0.01)
sys.exit(int(os.environ.get("STAND_IN_STATUS", 0)))
"""


class StandIns:
    """A folder for PATH, and what its programs recorded."""

    def __init__(self, folder: Path, programs: Iterable[str]) -> None:
        """Make the programs."""
        self._bin = folder / "bin"
        self._records = folder / "records"
        self._bin.mkdir(parents=True)
        self._records.mkdir()
        for program in {*programs, "docker"}:
            path = self._bin / program
            assert path.parent == self._bin, f"{program} is not found by PATH"
            path.write_text(_STAND_IN.format(python=sys.executable, record=str(self._records)))
            path.chmod(0o755)

    def run(
        self, script: Path, environment: Mapping[str, str], *arguments: str, peers: int = 0
    ) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
        """Run a program with the stand-ins first in PATH; returns what they recorded.

        Where several programs stay at once, the script ends all with the first; each stand-in
        therefore stays until so many `peers` have recorded.
        """
        given = {**environment, "STAND_IN_PEERS": str(peers)}
        # Files, no pipes: what the script leaves running for a moment must not hold this up.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            ended = subprocess.run(
                [str(script), *arguments],
                cwd=script.parent,
                env={"PATH": f"{self._bin}:{os.environ['PATH']}", "HOME": "/", **given},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                check=False,
                timeout=30,
            )
            out.seek(0)
            err.seek(0)
            done = subprocess.CompletedProcess(ended.args, ended.returncode, out.read(), err.read())
        records = [json.loads(path.read_text()) for path in self._records.iterdir()]
        for path in self._records.iterdir():
            path.unlink()
        return done, records
