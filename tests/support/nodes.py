"""Machines for tests: network namespaces with host names, two networks and processes of their own.

A node has its own network, mounts, host name and process numbers; files are shared, as on a
cluster with shared storage. When a node's first process is killed, the kernel ends every process in
it, so nothing outlives a test. The root namespace is not changed: the bridges lie in a namespace
of their own.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import pytest

NETWORKS: Mapping[str, str] = {"eth0": "10.77.1", "bond0": "10.77.0"}
"""Interface → the first three numbers of its addresses. eth0 is the slow one."""


def demand_root_and(*programs: str) -> None:
    """Skip a module of tests, with the reason, where it cannot run."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root", allow_module_level=True)
    missing = [program for program in ("ip", "unshare", "nsenter", *programs) if not which(program)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}", allow_module_level=True)


def which(program: str) -> str | None:
    """The path of a program, daemons included."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


class Node:
    """A machine.

    Attributes:
        name: Its host name.
        number: The last number of its addresses.
    """

    def __init__(self, name: str, number: int, folder: Path) -> None:
        """Start the machine with its loopback interface alone."""
        self.name, self.number, self.folder = name, number, folder
        folder.mkdir(parents=True)
        self._started: list[subprocess.Popen[bytes]] = []
        kinds = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        self._holder = subprocess.Popen(
            # A test process that is killed takes the node with it.
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "unshare",
                *kinds,
                "--mount-proc",
                "sleep",
                "infinity",
            ],
            stderr=subprocess.DEVNULL,
        )
        self.pid = until(self._first_process)
        self.demand("hostname", name)
        self.demand("ip", "link", "set", "lo", "up")

    def address(self, interface: str = "eth0") -> str:
        """Its address on a network."""
        return f"{NETWORKS[interface]}.{self.number}"

    def write_hosts(self, *lines: str) -> None:
        """Give it an /etc/hosts."""
        file = self.folder / "hosts"
        file.write_text("".join(f"{line}\n" for line in ("127.0.0.1 localhost", *lines)))
        self.demand("mount", "--bind", str(file), "/etc/hosts")

    def run(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in `/`: another folder is left on the way into the node."""
        options = {"timeout": 60, "stdin": subprocess.DEVNULL, **options}
        done: subprocess.CompletedProcess[str] = subprocess.run(
            self._entered(argv), capture_output=True, text=True, check=False, **options
        )
        return done

    def demand(self, *argv: str, **options: Any) -> str:
        """Run a command that has to succeed; returns what it prints."""
        done = self.run(*argv, **options)
        assert done.returncode == 0, f"{self.name}: {argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *argv: str, log: Path | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command that stays; it is killed with the node at the latest."""
        with contextlib.ExitStack() as stack:
            output: Any = stack.enter_context(log.open("wb")) if log else subprocess.DEVNULL
            started: subprocess.Popen[bytes] = subprocess.Popen(
                self._entered(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        self._started.append(started)
        return started

    def close(self) -> None:
        """End every process of the node, with the node."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        for process in (self._holder, *self._started):
            process.wait(timeout=30)

    def _first_process(self) -> int | None:
        children = psutil.Process(self._holder.pid).children()
        # Before the exec it is still unshare, which has not mounted /proc yet.
        return next((child.pid for child in children if child.name() == "sleep"), None)

    def _entered(self, argv: Sequence[str]) -> list[str]:
        kinds = ["--net", "--mount", "--uts", "--ipc", "--pid"]
        return ["nsenter", "--target", str(self.pid), *kinds, "--", *argv]


class Nodes:
    """Machines on two networks, by name."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Start the machines and connect them."""
        self._all: list[Node] = []
        try:
            self._start(folder, names)
        except BaseException:
            self.close()
            raise

    def _start(self, folder: Path, names: Sequence[str]) -> None:
        self._switch = self._made("switch", 250, folder)
        for network in NETWORKS:
            self._switch.demand("ip", "link", "add", f"br-{network}", "type", "bridge")
            self._switch.demand("ip", "link", "set", f"br-{network}", "up")
        for number, name in enumerate(names, 1):
            self._connect(self._made(name, number, folder))

    def __getitem__(self, name: str) -> Node:
        """A machine."""
        return next(node for node in self._all if node.name == name)

    def __iter__(self) -> Iterator[Node]:
        """The machines; what connects them is none."""
        return iter(self._all[1:])

    def __enter__(self) -> Self:
        """Use as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all machines."""
        self.close()

    def close(self) -> None:
        """End all machines."""
        for node in self._all:
            node.close()

    def _made(self, name: str, number: int, folder: Path) -> Node:
        node = Node(name, number, folder / name)
        self._all.append(node)
        return node

    def _connect(self, node: Node) -> None:
        for network in NETWORKS:
            peer = f"{node.name}-{network}"
            outside = ["nsenter", "--target", str(self._switch.pid), "--net", "--"]
            link = ["ip", "link", "add", peer, "type", "veth", "peer", "name", network]
            # The switch's own processes do not see the node: the kernel is asked from outside.
            subprocess.run([*outside, *link, "netns", str(node.pid)], check=True, timeout=30)
            self._switch.demand("ip", "link", "set", peer, "master", f"br-{network}", "up")
            node.demand("ip", "addr", "add", f"{node.address(network)}/24", "dev", network)
            node.demand("ip", "link", "set", network, "up")


def terminate(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGTERM to a command that `Node.start` started.

    What the test has started is nsenter, which waits for the command and hands on no signal.
    """
    (command,) = psutil.Process(process.pid).children()
    command.terminate()


def until(question: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Ask until the answer is true; returns it.

    Raises:
        AssertionError: It was not true in time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not so after {seconds:g} s: {question}")
