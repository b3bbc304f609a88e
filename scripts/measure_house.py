"""Measures how a reader, and the processor, gets through the package.

python scripts/measure_house.py [--runs N]

    returns    one launch request is followed through planning: into each function once, and back
               to its caller. A room is what lies directly in launch: a sub-package with all its
               modules, or a module. A return is a room that is entered again after it was left.
               Methods and properties of values count, except those that dataclasses generate: they
               have no source to read. The second figure leaves out all methods and properties of
               values.
    modules    modules of k2compat that a validation of three shards enters.
    launch     processor time of whole processes, as a ratio to the baseline commit's.

The baseline is taken from the repository's own history into a temporary folder, and measured in
the same run, one process of each in turn. The least of all runs counts: other processes on the
machine only add to it. Both packages are compiled before, as an installer compiles them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from compileall import compile_dir
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
BASELINE = "0ee0077"
_LAUNCH = "k2compat.launch"
_GENERATED = "<string>"  # where Python puts the code of a dataclass's methods
RETURNS_MAX, MODULES_MAX, LAUNCH_MAX = 25, 28, 0.60

NODES = ",".join(f"10.0.0.{number}" for number in range(1, 17))
LAUNCHES = {
    "2 nodes": ["launch", "vllm", "/m/K2", "--nodes", "10.0.0.1,10.0.0.2", "--json"],
    "16 nodes, 7 options": [
        *("launch", "vllm", "/m/K2", "--nodes", NODES, "--strategy", "dp-ep"),
        *("--interface", "bond0", "--port", "9000", "--rpc-port", "9001", "--context", "65536"),
        *("--served-model-name", "k2", "--gpu", "h200", "--json"),
    ],
}


def modules_entered(work: Callable[[], object]) -> set[str]:
    """The modules of k2compat of which a function is called."""
    seen: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("k2compat."):
            seen.add(module)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


class Follower:
    """Follows calls in a package as a reader does: into each function once, and back.

    Args:
        package: The package whose rooms count.
        values: Whether methods and properties of values count, too: whoever reads
            `cluster.groups` need not leave the function.

    Attributes:
        rooms: The rooms in the order they are entered.
    """

    def __init__(self, package: str, *, values: bool) -> None:
        """Begin with nothing seen."""
        self.rooms: list[str] = []
        self._prefix = f"{package}."
        self._values = values
        self._seen: set[tuple[str, str]] = set()
        self._open: list[FrameType] = []

    def follow(self, work: Callable[[], object]) -> None:
        """Follow a call to its end."""
        sys.setprofile(self._note)
        try:
            work()
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        module, code = frame.f_globals.get("__name__", ""), frame.f_code
        if event == "call" and module.startswith(self._prefix):
            what = (module, code.co_qualname)
            generated = code.co_filename == _GENERATED
            hidden = "<" in code.co_name or generated or (not self._values and _is_of_value(frame))
            if what not in self._seen and not hidden:
                self._seen.add(what)
                self._open.append(frame)
                self._enter(module)
        elif event == "return" and self._open and self._open[-1] is frame:
            self._open.pop()
            back = frame.f_back
            while back is not None and "<" in back.f_code.co_name:
                back = back.f_back
            if back is not None:
                self._enter(back.f_globals.get("__name__", ""))

    def _enter(self, module: str) -> None:
        room = module.removeprefix(self._prefix).partition(".")[0]
        if module.startswith(self._prefix) and self.rooms[-1:] != [room]:
            self.rooms.append(room)

    @property
    def returns(self) -> int:
        """How often a room is entered again after it was left."""
        return len(self.rooms) - len(set(self.rooms))


def _is_of_value(frame: FrameType) -> bool:
    """Whether a method is a dataclass's or a msgspec struct's."""
    code = frame.f_code
    if "." not in code.co_qualname:
        return False
    owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    kind = owner if isinstance(owner, type) else type(owner)
    return is_dataclass(kind) or hasattr(kind, "__struct_fields__")


def follow_request() -> list[int]:
    """The returns of one request for two nodes: with values, and without."""
    plan_launch, request = _request()
    plan_launch(request)  # loads everything
    found = []
    for values in (True, False):
        follower = Follower(_LAUNCH, values=values)
        follower.follow(lambda: plan_launch(request))
        found.append(follower.returns)
    return found


def _request() -> tuple[Any, Any]:
    names = ("Cluster", "Request", "nodes_at", "plan_launch", "read_model")
    homes = ("cluster", "request", "cluster", "planning", "model")  # of the baseline
    face = import_module("k2compat.launch")
    if not hasattr(face, "plan_launch"):
        found = [
            getattr(import_module(f"k2compat.launch.{home}"), name)
            for home, name in zip(homes, names, strict=True)
        ]
    else:
        found = [getattr(face, name) for name in names]
    cluster, request, nodes_at, plan_launch, read_model = found
    nodes = cluster(nodes_at(("10.0.0.1", "10.0.0.2")))
    return plan_launch, request(engine="vllm", model=read_model("/m/K2"), cluster=nodes)


def modules_of_validation() -> int:
    """How many modules a validation of three shards enters."""
    from k2compat.checkpoint import validate
    from k2compat.samples import checkpoint_files

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in checkpoint_files().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        validate(folder)
        return len(modules_entered(lambda: validate(folder)))


def baseline(folder: Path) -> Path:
    """The baseline commit's package, unpacked."""
    archive = folder / "baseline.tar"
    with archive.open("wb") as file:
        subprocess.run(
            ["git", "-C", ROOT, "archive", BASELINE, "k2compat"], stdout=file, check=True
        )
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def process_seconds(package: Path, arguments: Sequence[str]) -> float:
    """Processor time of one whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", "from k2compat.cli.start import main; main()", *arguments],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def measured_in(package: Path, what: str) -> Any:
    """What another process measures of a package: this file is run with it."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", what],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> int:
    """Measure, print a line each, and exit with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--measure", choices=("returns", "modules"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        found = follow_request() if options.measure == "returns" else modules_of_validation()
        print(json.dumps(found))
        return 0
    missed = []
    with tempfile.TemporaryDirectory() as name:
        old = baseline(Path(name))
        for what, most in (("returns", RETURNS_MAX), ("modules", MODULES_MAX)):
            then, now = measured_in(old, what), measured_in(ROOT, what)
            count = now[0] if what == "returns" else now
            print(f"{what}: {now} (at {BASELINE}: {then}; at most {most})")
            missed += [what] if count > most else []
        for package in (old, ROOT):
            compile_dir(package / "k2compat", quiet=1)
        for label, arguments in LAUNCHES.items():
            pairs = [
                tuple(process_seconds(package, arguments) for package in (old, ROOT))
                for _ in range(options.runs)
            ]
            then, now = (min(times) for times in zip(*pairs, strict=True))
            ratio = now / then
            print(f"launch, {label}: {ratio:.0%} of {BASELINE} (at most {LAUNCH_MAX:.0%})")
            missed += [label] if ratio > LAUNCH_MAX else []
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
