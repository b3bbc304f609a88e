"""Let the n-th system call that writes fail, or end the process there.

The files room is the only one that writes, and it reaches the system through the modules
`os`, `fcntl`, `ctypes` and `shutil`. Here each of its modules gets stand-ins for these four,
which count the calls that change a disk (or sync it, lock it, look at it) and let one of them
go wrong.
A test with strace holds the list of calls against what the real process does.
"""

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic, TypeVar
from unittest import mock

from k2compat import files
from k2compat.errors import K2CompatError
from tests.support.amount import sampled

ERRORS = (
    errno.ENOSPC,
    errno.EIO,
    errno.EXDEV,
    errno.EROFS,
    errno.EACCES,
    errno.EINTR,
)

WRITING = {
    "copy_file_range",
    "fchmod",
    "fchown",
    "flock",
    "fsync",
    "ioctl",
    "link",
    "mkdir",
    "open",  # only where it may write
    "rename",
    "replace",
    "rmtree",
    "setxattr",
    "symlink",
    "sync",
    "syncfs",
    "unlink",
    "write",
}
LOOKING = {"fstat", "fstatvfs", "getxattr", "listxattr", "scandir", "stat"}
_WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

Real = Callable[..., Any]
Effect = Callable[[str, Real, tuple[Any, ...]], None]
State = TypeVar("State")


@dataclass
class Watch:
    """The counted calls of one run, and the one that goes wrong.

    Attributes:
        at: Index of the call that goes wrong; None: all go well.
        lasting: Whether all later calls go wrong too, as on a disk that stays full.
        effect: What happens instead of the call.
        calls: The names of the calls made so far.
    """

    at: int | None = None
    lasting: bool = False
    effect: Effect | None = None
    calls: list[str] = field(default_factory=list)

    def call(self, name: str, real: Real, *arguments: Any, **options: Any) -> Any:
        """Count one call, and make it unless it is the one that goes wrong."""
        number = len(self.calls)
        self.calls.append(name)
        if self.effect is not None and self._goes_wrong(number):
            self.effect(name, real, arguments)
        return real(*arguments, **options)

    def _goes_wrong(self, number: int) -> bool:
        return number == self.at or (self.lasting and self.at is not None and number > self.at)


class _StandIn:
    """A module whose counted functions pass through the watch."""

    def __init__(self, module: ModuleType, watch: Watch) -> None:
        self._module = module
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._module, name)
        if name not in WRITING | LOOKING:
            return real

        def counted(*arguments: Any, **options: Any) -> Any:
            if name == "open" and not arguments[1] & _WRITING_FLAGS:
                return real(*arguments, **options)
            return self._watch.call(name, real, *arguments, **options)

        return counted


class _Ctypes:
    """`ctypes` as the files room uses it: CDLL(None).syncfs and errno."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._errno = 0

    def CDLL(self, *arguments: Any, **options: Any) -> Any:  # noqa: N802 - ctypes' own name
        library = ctypes.CDLL(*arguments, **options)

        def syncfs(descriptor: int) -> int:
            try:
                result: int = self._watch.call("syncfs", library.syncfs, descriptor)
            except OSError as error:
                self._errno = error.errno or 0
                return -1
            return result

        return type("Library", (), {"syncfs": staticmethod(syncfs)})

    def get_errno(self) -> int:
        return self._errno


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[Watch]:
    """Put the watch between the files room and the system."""
    stand_ins: dict[str, Any] = {module.__name__: _StandIn(module, watch) for module in (os, fcntl)}
    # These two are imported where they are used.
    late: dict[str, Any] = {"shutil": _StandIn(shutil, watch), "ctypes": _Ctypes(watch)}
    rooms = [module for name, module in sys.modules.items() if name.startswith(files.__name__)]
    real = [
        (room, name, vars(room)[name]) for room in rooms for name in stand_ins if name in vars(room)
    ]
    for room, name, _ in real:
        setattr(room, name, stand_ins[name])
    try:
        with mock.patch.dict(sys.modules, late):
            yield watch
    finally:
        for room, name, module in real:
            setattr(room, name, module)


def calls_of(action: Callable[[], object]) -> list[str]:
    """The counted calls of a run in which all goes well."""
    with watched(Watch()) as watch:
        action()
    return watch.calls


@dataclass(frozen=True)
class Failed(Generic[State]):
    """A run in which a call failed. `error` is None where the action got along without it."""

    state: State
    what: str
    error: Exception | None


def each_failure(
    prepare: Callable[[], State],
    action: Callable[[State], object],
    expected: tuple[type[Exception], ...] = (K2CompatError,),
    errors: Sequence[int] = ERRORS,
    every: int = 11,
) -> Iterator[Failed[State]]:
    """Run `action` on a fresh state again and again, each time with another call failing.

    Every counted call fails once with every error, alone and with all that follow it; in the
    daily run each eleventh time, once or twice for each call.

    Args:
        prepare: Makes a fresh state.
        action: What is run on it.
        expected: An exception that is none of these passes through: it is a bug.
        errors: Numbers of errno.
        every: The step of the daily run.
    """
    sound = prepare()
    names = calls_of(lambda: action(sound))
    failures = itertools.product(range(len(names)), errors, (False, True))
    for number, code, lasting in sampled(failures, every):
        state = prepare()
        watch = Watch(number, lasting, _failing(code))
        with watched(watch):
            try:
                action(state)
                error = None
            except expected as caught:
                error = caught
        lasts = " and after" if lasting else ""
        what = f"{errno.errorcode[code]} at call {number}, {names[number]}{lasts}"
        yield Failed(state, what, error)


def _failing(code: int) -> Effect:
    def fail(name: str, real: Real, arguments: tuple[Any, ...]) -> None:
        if name == "rmtree":  # it is called so as to ignore every error
            return
        raise OSError(code, os.strerror(code))

    return fail


def each_kill(
    prepare: Callable[[], State], action: Callable[[State], object]
) -> Iterator[tuple[State, str]]:
    """Run `action` in a child that is killed (SIGKILL) before each counted call in turn.

    A write is also killed half way through. In the daily run every third of these.
    """
    sound = prepare()
    kills = (
        (number, name, effect)
        for number, name in enumerate(calls_of(lambda: action(sound)))
        for effect in ((_kill, _kill_half_way) if name == "write" else (_kill,))
    )
    for number, name, effect in sampled(kills, every=3):
        state = prepare()
        _in_child(action, state, Watch(number, lasting=False, effect=effect))
        yield state, f"killed at call {number}, {name}"


def _in_child(action: Callable[[State], object], state: State, watch: Watch) -> None:
    child = os.fork()
    if child == 0:
        try:
            with watched(watch):
                action(state)
        finally:
            os._exit(0)  # only if the kill did not come
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def _kill(name: str, real: Real, arguments: tuple[Any, ...]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_half_way(name: str, real: Real, arguments: tuple[Any, ...]) -> None:
    descriptor, content = arguments
    real(descriptor, content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
