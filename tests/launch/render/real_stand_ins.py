"""Stand-ins for engines on real machinery: they record, listen, answer, and end as they are asked.

Each start writes `records/*.json`: argv, env, host, and "ended" once a signal has come. A file
`behaviour/HOST` (or `behaviour/all`) changes what happens there: "exit 3" ends at once, "linger 2"
takes two seconds to end after SIGTERM, "stay" (as without a file) answers HTTP until it is ended.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.nodes import until

_ENGINE = """#!{python}
import json, os, signal, socket, sys, time
argv = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
host, number = os.uname().nodename, os.getpid()
path = f"{folder}/records/{{host}}-{{number}}-{{time.time_ns()}}"
record = {{"argv": argv, "env": dict(os.environ), "host": host, "pid": number, "ended": None}}
def write():
    with open(path, "w") as file:
        json.dump(record, file)
    os.rename(path, path + ".json")
behaviour = "stay"
for name in (host, "all"):
    try:
        behaviour = open(f"{folder}/behaviour/{{name}}").read()
        break
    except FileNotFoundError:
        pass
what, _, amount = behaviour.partition(" ")
if what == "exit":
    write()
    sys.exit(int(amount))
def end(signum, frame):
    if what == "linger":
        time.sleep(float(amount))
    record["ended"] = signal.Signals(signum).name
    write()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if "--port" in argv and "--headless" not in argv:
    listener.bind(("", int(argv[argv.index("--port") + 1])))
listener.listen()
write()
while True:
    peer, _ = listener.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    peer.close()
"""

# What trtllm-llmapi-launch is to Slurm: a task, which either becomes a rank of MPI or ends before.
_RANK = """#!/bin/sh
rank="${{SLURM_PROCID:-$OMPI_COMM_WORLD_RANK}}"
printf '%s\\0' "$@" > "{folder}/ranks/$rank.argv"
env -0 > "{folder}/ranks/$rank.env"
hostname > "{folder}/ranks/$rank.host"
[ ! -e "{folder}/behaviour/seconds" ] ||
    export STAND_IN_SECONDS="$(cat "{folder}/behaviour/seconds")"
if [ -e "{folder}/behaviour/rank$rank" ]; then exit "$(cat "{folder}/behaviour/rank$rank")"; fi
exec "{folder}/rank" "{folder}/ranks"
"""

_MPI = r"""
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int rank, size, sum;
    char path[4096], whole[4096];
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    snprintf(path, sizeof path, "%s/%d.part", argv[1], rank);
    snprintf(whole, sizeof whole, "%s/%d.mpi", argv[1], rank);
    FILE *file = fopen(path, "w");
    fprintf(file, "%d %d %d\n", rank, size, sum);
    fclose(file);
    rename(path, whole); // a test that waits for it reads it at once
    if (getenv("STAND_IN_SECONDS")) sleep(atoi(getenv("STAND_IN_SECONDS")));
    MPI_Finalize();
    return 0;
}
"""


class RealStandIns:
    """A folder of programs, what they recorded, and how they behave."""

    def __init__(self, folder: Path, programs: Iterable[str]) -> None:
        """Make the programs."""
        self.folder = folder
        for name in ("bin", "records", "behaviour", "ranks"):
            (folder / name).mkdir(parents=True)
        for program in programs:
            self.add(program, _ENGINE.format(python=sys.executable, folder=folder))

    @property
    def path(self) -> str:
        """The folder of the programs, for PATH."""
        return str(self.folder / "bin")

    def add(self, program: str, text: str) -> None:
        """Put a program into PATH."""
        file = self.folder / "bin" / program
        file.write_text(text)
        file.chmod(0o755)

    def add_ranks(self, program: str = "trtllm-llmapi-launch") -> None:
        """Put a program of MPI into PATH."""
        source = self.folder / "rank.c"
        source.write_text(_MPI)
        made = ["mpicc", "-o", str(self.folder / "rank"), str(source)]
        subprocess.run(made, check=True, capture_output=True, timeout=60)
        self.add(program, _RANK.format(folder=self.folder))

    def behave(self, **behaviours: str) -> None:
        """Host, "all" or rankN → how its programs behave; what is not named stays until its end.

        "seconds" is how long the ranks of MPI stay.
        """
        self.clear()
        for name, behaviour in behaviours.items():
            (self.folder / "behaviour" / name).write_text(behaviour)

    def clear(self) -> None:
        """Forget what was recorded, and how to behave."""
        for name in ("records", "behaviour", "ranks"):
            for file in (self.folder / name).iterdir():
                file.unlink()

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was started, by host."""
        files = sorted((self.folder / "records").glob("*.json"))
        return [json.loads(file.read_text()) for file in files]

    def started(self, number: int, seconds: float = 30.0) -> list[dict[str, Any]]:
        """The records, once so many programs have started."""
        until(lambda: len(self.records) >= number, seconds)
        return self.records

    @property
    def ranks(self) -> dict[int, tuple[int, int]]:
        """Rank → size of the world, and the sum of all ranks."""
        lines = [file.read_text().split() for file in (self.folder / "ranks").glob("*.mpi")]
        return {int(rank): (int(size), int(total)) for rank, size, total in lines}

    def of_ranks(self, kind: str) -> dict[int, list[str]]:
        """Rank → its "argv", "env" or "host", in words."""
        files = (self.folder / "ranks").glob(f"*.{kind}")
        return {int(file.stem): file.read_text().strip("\0\n").split("\0") for file in files}


def value(argv: list[str], flag: str) -> str:
    """The value of a flag."""
    return argv[argv.index(flag) + 1]
