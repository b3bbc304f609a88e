"""Judges mutants of the parser, each in a forked process that imports it afresh.

This process imports pytest, Hypothesis and all else that the tests import, but neither the
package nor a test. A forked process imports these with the changed module. It reads the
transcripts, without pytest, and if they show nothing it runs the unit tests and the properties.
A test is only run if it calls the changed function, or if the change is outside of functions.
What noticed most so far comes first. Hypothesis draws fewer examples than in the daily run, always
the same ones, and does not make a failing one smaller.

A mutant that runs too long is noticed. All limits are of processor time, so that a busy machine
does not make a mutant look noticed. A transcript takes a millisecond, the tests 7 seconds.
"""

import contextlib
import functools
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "k2compat" / "toolcalls"
TESTS = [
    "tests/toolcalls/test_parser.py",
    "tests/toolcalls/test_ids.py",
    "tests/toolcalls/test_known_by_id.py",
    "tests/toolcalls/test_markers.py",
    "tests/toolcalls/test_machine.py",
    "tests/toolcalls/test_iterate.py",
    "tests/toolcalls/test_argument_text.py",
    "tests/toolcalls/test_json_prefix.py",
    "tests/toolcalls/split/test_headers_left.py",
    "tests/toolcalls/split/test_native.py",
    "tests/toolcalls/split/test_reader.py",
    "tests/properties/test_split.py",
    "tests/properties/test_toolcalls_reading.py",
    "tests/properties/test_toolcalls_laws.py",
    "tests/properties/test_random_texts.py",
]
# Given to pytest as modules: it warns of plugins by name that are imported already.
PLUGINS = [importlib.import_module(name) for name in ("pytest_timeout", "_hypothesis_pytestplugin")]
WAYS = ("whole", "characters", "as written", "markers")
SECONDS_FOR_A_TRANSCRIPT = 1
SECONDS_FOR_TESTS = 60
# The daily run draws 60 to 500. With these a mutant that survives takes a third of the time.
EXAMPLES_AT_MOST = 60
BYTES_AT_MOST = 4 << 30
ANY_FUNCTION = ("", 0)

settings.register_profile(
    "mutants",
    database=None,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from another source than its file's."""

    def __init__(self, module: str, source: str, function: tuple[int, int] | None = None) -> None:
        """Change a module.

        Args:
            module: its name.
            source: what to read in place of its file.
            function: the first and the last line of the function that differs, or None.
        """
        self.name = "k2compat.toolcalls." + module.replace("/", ".")
        self.path = PACKAGE / f"{module}.py"
        self.source = source
        self.function = function
        self.is_read = False

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Find that module alone."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the source."""
        self.is_read = True
        exec(compile(self.source, self.path, "exec"), vars(module))


class Reach:
    """Which functions of the package each test calls.

    Functions that are called while the package and the tests are imported count for every test.
    So does what is called in a cached function: the caches are emptied before each test.

    Attributes:
        called: the file and the first line of each called function, by test.
    """

    def __init__(self) -> None:
        self.called: dict[str, set[tuple[str, int]]] = {"": set()}
        self._current = self.called[""]
        self._package = str(PACKAGE)

    def note(self, frame: FrameType, event: str, _argument: object) -> None:
        """Note a call, as `sys.setprofile` reports it."""
        if event == "call" and frame.f_code.co_filename.startswith(self._package):
            self._current.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Note what a test calls."""
        for name, module in list(sys.modules.items()):
            if name.startswith("k2compat"):
                for value in vars(module).values():
                    if hasattr(value, "cache_clear"):
                        value.cache_clear()
        self._current = self.called.setdefault(item.nodeid.partition("[")[0], set())
        sys.setprofile(self.note)
        try:
            return (yield)
        finally:
            if sys.getprofile() is None:  # a recursion that ran too deep has removed it
                self._current.add(ANY_FUNCTION)
            self._current = self.called[""]
            sys.setprofile(self.note)

    def tests_of(self, changed: Changed) -> list[str]:
        """The tests that may notice a change."""
        names = [name for name in self.called if name]
        if changed.function is None or self._calls("", changed):
            return names
        return [name for name in names if self._calls(name, changed)]

    def _calls(self, name: str, changed: Changed) -> bool:
        first, last = changed.function or (0, 0)
        return ANY_FUNCTION in self.called[name] or any(
            file == str(changed.path) and first <= line <= last for file, line in self.called[name]
        )


class BrokenError(Exception):
    """These judges do not work."""


class QuickRun:
    """A plugin of pytest that draws few examples and keeps the name of the first failing test."""

    name: str | None = None

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Lower the number of a property's examples; its settings are kept in this attribute."""
        attribute = "_hypothesis_internal_use_settings"
        function = getattr(item, "obj", None)
        if function is not None and getattr(function, "is_hypothesis_test", False):
            own = getattr(function, attribute)
            fewer = min(own.max_examples, EXAMPLES_AT_MOST)
            setattr(function, attribute, settings(own, max_examples=fewer))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module of tests that cannot be imported."""
        if report.failed and self.name is None:
            self.name = report.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed and self.name is None:
            self.name = report.nodeid.partition("[")[0]


def transcript_that_notices(kills: Counter[str]) -> str | None:
    """Read the transcripts, in every way that test_transcripts.py has but for two slow ones."""
    from tests.toolcalls import test_transcripts as tests

    def in_order(cases: Iterable[Any]) -> list[Any]:
        return sorted(cases, key=lambda case: -kills[f"transcript {case.name}"])

    checks: list[tuple[Any, Callable[[], None]]] = [
        (case, functools.partial(tests.test_transcript, case, way))
        for way in WAYS
        for case in in_order(tests.BY_TEXT)
    ]
    checks += [
        (case, functools.partial(tests.test_transcript_by_token_ids, case, size))
        for size in (10_000, 1)
        for case in in_order(tests.BY_TOKENS)
    ]
    for case, check in checks:
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_FOR_A_TRANSCRIPT)
        try:
            check()
        except Exception:  # noqa: BLE001 - any exception fails the test
            return f"transcript {case.name}"
    return None


def test_that_notices(tests: list[str], *plugins: object) -> str | None:
    """Run pytest on unit tests and properties.

    The test that compares the table with the docs would notice each change of the table, and
    says nothing about the parser. Deep nesting takes long and shows little, and so do the
    transcripts as a server would split them.
    """
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_FOR_TESTS)
    arguments = ["-x", "-q", "--noconftest", "-p", "no:cacheprovider", "--timeout", "0"]
    arguments += ["--deselect", "tests/toolcalls/test_machine.py::test_the_docs_show_the_table"]
    arguments += ["-k", "not deep and not depth and not every_shape"]
    run = QuickRun()
    code = pytest.main([*arguments, *tests], plugins=[run, *plugins, *PLUGINS])
    if code != 0 and run.name is None:
        raise BrokenError(f"pytest ended with {code!r}")
    return run.name


def judge(changed: Changed, kills: Counter[str], reach: Reach) -> dict[str, Any]:
    """Name what notices the change, in a process that imported nothing of the package.

    Args:
        changed: the changed module.
        kills: how many mutants each test has noticed.
        reach: which functions the tests call.
    """
    if not is_imported(changed):
        return {"noticed_by": "import"}
    found = transcript_that_notices(kills)
    if found is None and (tests := reach.tests_of(changed)):
        found = test_that_notices(sorted(tests, key=lambda name: -kills[name]))
    return {"noticed_by": found}


def is_imported(changed: Changed) -> bool:
    """Whether the package can be imported with the change."""
    sys.meta_path.insert(0, changed)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_FOR_TESTS)
    try:
        importlib.import_module("k2compat.toolcalls")
        importlib.import_module("tests.toolcalls.test_transcripts")
    except Exception:  # noqa: BLE001 - any exception fails every test
        return False
    if not changed.is_read:
        raise BrokenError(f"the tests do not read the changed source of {changed.name}")
    return True


def judge_unchanged() -> dict[str, Any]:
    """Run all tests without a change, and note what they call and what they import."""
    reach = Reach()
    unchanged = Changed("parser", (PACKAGE / "parser.py").read_text("utf-8"))
    sys.setprofile(reach.note)
    found = None if is_imported(unchanged) else "import"
    sys.setprofile(None)
    found = found or transcript_that_notices(Counter())
    sys.setprofile(reach.note)
    found = found or test_that_notices(TESTS, reach)
    sys.setprofile(None)
    called = {name: list(calls) for name, calls in reach.called.items()}
    ours = ("k2compat", "tests", "scripts")
    modules = [name for name in sys.modules if name.partition(".")[0] not in ours]
    return {"noticed_by": found, "called": called, "modules": modules}


class Process:
    """A forked process that does one thing.

    Attributes:
        id: its id.
        receiver: the pipe on which it answers.
    """

    def __init__(self, work: Callable[[], dict[str, Any]]) -> None:
        self.receiver, sender = os.pipe()
        self.id = os.fork()
        if self.id:
            os.close(sender)
            return
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        resource.setrlimit(resource.RLIMIT_AS, (BYTES_AT_MOST, BYTES_AT_MOST))
        try:
            answer = work()
        except BaseException:  # noqa: BLE001 - a fault of this script, which `answer` raises
            answer = {"fault": traceback.format_exc()}
        with os.fdopen(sender, "w") as stream:
            json.dump(answer, stream)
        os._exit(0)

    def answer(self) -> dict[str, Any]:
        """Wait for its end; what it found, and its processor time."""
        with os.fdopen(self.receiver) as stream:
            text = stream.read()
        _, status, usage = os.wait4(self.id, 0)
        answer: dict[str, Any] = json.loads(text or "{}")
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGVTALRM:
            answer = {"noticed_by": "time-out"}
        if "noticed_by" not in answer:
            fault = answer.get("fault", "without an answer")
            raise RuntimeError(f"a process ended with status {status}: {fault}")
        answer["seconds"] = round(usage.ru_utime + usage.ru_stime, 2)
        return answer


def prepare() -> Reach:
    """Import what the tests import, and check these judges.

    Returns:
        Which functions the tests call.

    Raises:
        BrokenError: the judges do not work.
    """
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    settings.load_profile("mutants")
    unchanged = Process(judge_unchanged).answer()
    if unchanged["noticed_by"] is not None:
        raise BrokenError(f"the tests fail without any change: {unchanged['noticed_by']}")
    for name in unchanged["modules"]:
        with contextlib.suppress(ImportError):  # some were only put there by a test
            importlib.import_module(name)
    if any(name.startswith("k2compat") for name in sys.modules):
        raise BrokenError("this process imported the package: mutants would not be imported")
    reach = Reach()
    reach.called = {
        name: {(file, line) for file, line in calls} for name, calls in unchanged["called"].items()
    }
    broken = Changed("parser", "raise ImportError")
    if Process(lambda: judge(broken, Counter(), reach)).answer()["noticed_by"] != "import":
        raise BrokenError("the tests do not notice that the parser is gone")
    return reach
