"""Stand-ins for the engines' programs: each writes down how it was called."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_STAND_IN = """#!{python}
import json, os, sys
record = {{"argv": [os.path.basename(sys.argv[0]), *sys.argv[1:]], "env": dict(os.environ)}}
with open({record!r} + f"/{{os.getpid()}}.json", "x") as file:
    json.dump(record, file)
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
        for program in set(programs):
            path = self._bin / program
            path.write_text(_STAND_IN.format(python=sys.executable, record=str(self._records)))
            path.chmod(0o755)

    def run(
        self, script: Path, environment: Mapping[str, str]
    ) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
        """Run a script with the stand-ins first in PATH; returns what they recorded."""
        done = subprocess.run(
            [str(script)],
            env={"PATH": f"{self._bin}:{os.environ['PATH']}", "HOME": "/", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        records = [json.loads(path.read_text()) for path in self._records.iterdir()]
        for path in self._records.iterdir():
            path.unlink()
        return done, records
