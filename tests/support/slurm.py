"""A real Slurm on four nodes: munged, slurmctld and a slurmd a node, each in its namespace.

What slurm.conf needs so that this works on one machine of two cores without GPUs:
`config_overrides` (16 CPUs a node), device files for GPUs (`gres.conf`), and a `TmpFS` a node,
where PMIx keeps its sockets.
"""

import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.nodes import Node, Nodes, until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "mpicc")
GPUS = 8
HOSTS = ("n1", "n2", "n3", "n4")

_CONF = """
ClusterName=k2
SlurmctldHost=ctl(10.77.1.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
TmpFS={folder}/tmp/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
MpiDefault=none
KillWait=5
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=600
{nodes}
PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP OverSubscribe=EXCLUSIVE
"""


@dataclass(frozen=True)
class Job:
    """A job as Slurm shows it.

    Attributes:
        number: Its id.
        state: RUNNING, COMPLETED, FAILED, CANCELLED, …
        exit_code: STATUS:SIGNAL.
        log: What it wrote.
    """

    number: str
    state: str
    exit_code: str
    log: str


class Slurm:
    """Slurm on nodes n1 to n4, and `ctl`, where commands are given."""

    def __init__(self, folder: Path, nodes: Nodes) -> None:
        """Start the daemons."""
        self.folder, self.nodes = folder, nodes
        self._control = nodes["ctl"]
        self._write_configuration()
        self._start_daemons()

    def __enter__(self) -> Self:
        """Use as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what is left of the jobs; the daemons end with their nodes."""
        self._command("scancel", "--full", "--signal=KILL", "--user=root")

    def submit(self, file: Path, *options: str, environment: Mapping[str, str]) -> str:
        """Give a file to sbatch; returns the job's id."""
        words = ["sbatch", "--parsable", f"--chdir={file.parent}", *options, str(file)]
        # Nothing of this process is handed on but PATH: a job sees a user's environment.
        given = {"PATH": os.environ["PATH"], "HOME": "/root", **environment}
        done = self._command(*words, environment=given)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, number: str) -> Job:
        """A job as it is now."""
        shown = self._command("scontrol", "-o", "show", "job", number).stdout
        values = dict(word.split("=", 1) for word in shown.split() if "=" in word)
        log = Path(values["StdOut"])
        text = log.read_text(errors="replace") if log.exists() else ""
        return Job(number, values["JobState"], values["ExitCode"], text)

    def ended(self, number: str, seconds: float = 40.0) -> Job:
        """A job at its end, whose processes are gone.

        Raises:
            AssertionError: It has not ended in time.
        """

        def ended() -> Job | None:
            job = self.job(number)
            return job if job.state not in {"PENDING", "RUNNING", "COMPLETING"} else None

        try:
            found: Job = until(ended, seconds)
        except AssertionError:
            job = self.job(number)
            self.scancel(number)
            raise AssertionError(f"{job.state} after {seconds:g} s: {job.log}") from None
        self.idle()
        return found

    def idle(self) -> None:
        """Wait until no node is busy."""

        def states() -> bool:
            shown = self._command("sinfo", "-h", "-N", "-o", "%T").stdout.split()
            return len(shown) == len(HOSTS) and set(shown) == {"idle"}

        until(states)

    def scancel(self, number: str) -> None:
        """Cancel a job."""
        self._command("scancel", number)

    def requeue(self, number: str) -> None:
        """Put a running job back into the queue, to be started at once."""
        assert self._command("scontrol", "requeue", number).returncode == 0
        # Slurm would wait until the old job's credentials have expired, which is two minutes.
        until(lambda: self.job(number).state == "PENDING")
        self._command("scontrol", "update", f"JobId={number}", "StartTime=now")

    def _command(
        self, *argv: str, environment: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        given = {**(os.environ if environment is None else environment), **self._variables}
        return self._control.run(*argv, env=given, **options)

    @property
    def _variables(self) -> Mapping[str, str]:
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def _write_configuration(self) -> None:
        for name in ("state", *(f"{kind}/{host}" for kind in ("spool", "tmp") for host in HOSTS)):
            (self.folder / name).mkdir(parents=True)
        for number in range(GPUS):  # slurmd counts a GPU only with a device file: here /dev/null's
            os.mknod(self.folder / f"gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n")
        hardware = f"CPUs=16 RealMemory=1000 Gres=gpu:{GPUS} State=UNKNOWN"
        lines = [
            f"NodeName={host} NodeAddr={self.nodes[host].address()} {hardware}" for host in HOSTS
        ]
        (self.folder / "slurm.conf").write_text(
            _CONF.format(folder=self.folder, nodes="\n".join(lines), names=",".join(HOSTS))
        )
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)

    def _start_daemons(self) -> None:
        environment = {**os.environ, **self._variables}
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log"}
        paths = [f"--{option}={self.folder}/munge.{name}" for option, name in files.items()]
        seed = f"--seed-file={self.folder}/munge.seed"
        munged = ["/usr/sbin/munged", "--foreground", "--force", seed, *paths]
        self._start(self._control, munged, environment)
        until((self.folder / "munge.socket").exists)
        self._start(self._control, ["/usr/sbin/slurmctld", "-D", "-c"], environment)
        for host in HOSTS:
            self._start(self.nodes[host], ["/usr/sbin/slurmd", "-D", "-N", host], environment)
        self.idle()

    def _start(self, node: Node, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        log = self.folder / f"{node.name}.{Path(argv[0]).name}.out"
        node.start(*argv, log=log, env=dict(environment))
