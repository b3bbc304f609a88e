"""Run k2compat as its users do: in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = str(Path(sys.executable).with_name("k2compat"))

# A user's shell, not the developer's: no colour or debug settings leak into a test.
ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if key not in {"NO_COLOR", "FORCE_COLOR", "K2COMPAT_DEBUG", "TERM", "COLUMNS"}
}


@dataclass(frozen=True)
class Result:
    """How a command ended and what it wrote."""

    code: int
    out: bytes
    err: bytes

    @property
    def document(self) -> dict[str, Any]:
        """stdout as the one JSON document it must be."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def words(self) -> str:
        """stderr as text."""
        return self.err.decode()


def k2compat(
    *arguments: str | bytes | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    before: str = "",
) -> Result:
    """Run the installed program.

    Args:
        arguments: The command line after the program's name.
        environment: Variables to set beside a plain user's.
        folder: The working directory.
        before: Put the process behind a shell line such as `exec "$@" >&-`.
    """
    command: list[str | bytes | Path] = [PROGRAM, *arguments]
    if before:
        command = ["bash", "-c", before, "bash", *command]
    done = subprocess.run(
        command,
        env={**ENVIRONMENT, **(environment or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return Result(done.returncode, done.stdout, done.stderr)
