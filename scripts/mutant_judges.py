"""Judges mutants of the parser, each in a forked process that imports it afresh.

This process imports pytest, Hypothesis and all else that the tests import, but neither the
package nor a test. A forked process imports these with the changed module. It reads the
transcripts, without pytest, and if they show nothing it runs the unit tests and the properties.
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
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "k2compat" / "toolcalls"
TESTS = [
    f"tests/toolcalls/test_{name}.py"
    for name in ("parser", "ids", "markers", "machine", "iterate", "argument_text", "json_prefix")
] + [f"tests/properties/test_toolcalls_{name}.py" for name in ("reading", "laws")]
# Given to pytest as modules: it warns of plugins by name that are imported already.
PLUGINS = [importlib.import_module(name) for name in ("pytest_timeout", "_hypothesis_pytestplugin")]
WAYS = ("whole", "characters", "as written", "markers")
SECONDS_FOR_A_TRANSCRIPT = 1
SECONDS_FOR_TESTS = 60
# The daily run draws 60 to 500. With these a mutant that survives takes a third of the time.
EXAMPLES_AT_MOST = 60
BYTES_AT_MOST = 4 << 30

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

    def __init__(self, module: str, source: str) -> None:
        self.name = "k2compat.toolcalls." + module.replace("/", ".")
        self.path = PACKAGE / f"{module}.py"
        self.source = source
        self.is_imported = False

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Find that module alone."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the source."""
        self.is_imported = True
        exec(compile(self.source, self.path, "exec"), vars(module))


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
        (case, functools.partial(tests.test_transcript_by_token_ids, case))
        for case in in_order(tests.BY_TOKENS)
    ]
    for case, check in checks:
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_FOR_A_TRANSCRIPT)
        try:
            check()
        except Exception:  # noqa: BLE001 - any exception fails the test
            return f"transcript {case.name}"
    return None


def test_that_notices(kills: Counter[str]) -> str | None:
    """Run pytest on the unit tests and the properties.

    The test that compares the table with the docs would notice each change of the table, and
    says nothing about the parser. Deep nesting takes long and shows little.
    """
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_FOR_TESTS)
    best = [name for name, _ in kills.most_common() if "::" in name]
    arguments = ["-x", "-q", "--noconftest", "-p", "no:cacheprovider"]
    arguments += ["--timeout", "0"]
    arguments += ["--deselect", "tests/toolcalls/test_machine.py::test_the_docs_show_the_table"]
    arguments += ["-k", "not deep and not depth"]
    run = QuickRun()
    code = pytest.main([*arguments, *best, *TESTS], plugins=[run, *PLUGINS])
    return None if code == 0 else run.name or f"pytest ended with {code!r}"


def judge(changed: Changed, kills: Counter[str]) -> str | None:
    """Name what notices the change, in a process that imported nothing of the package.

    Args:
        changed: the changed module.
        kills: how many mutants each test has noticed.
    """
    sys.meta_path.insert(0, changed)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_FOR_TESTS)
    try:
        importlib.import_module("k2compat.toolcalls")
        importlib.import_module("tests.toolcalls.test_transcripts")
    except Exception:  # noqa: BLE001 - any exception fails every test
        return "import"
    found = transcript_that_notices(kills) or test_that_notices(kills)
    if not changed.is_imported:
        raise AssertionError(f"the tests did not import {changed.name} from the changed source")
    return found


class Process:
    """A forked process that judges one change.

    Attributes:
        id: its id.
        receiver: the pipe on which it answers.
    """

    def __init__(self, changed: Changed, kills: Counter[str]) -> None:
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
            answer = {"noticed_by": judge(changed, kills), "modules": foreign_modules()}
        except BaseException:  # noqa: BLE001 - a fault of this script, which `answer` raises
            answer = {"fault": traceback.format_exc()}
        with os.fdopen(sender, "w") as stream:
            json.dump(answer, stream)
        os._exit(0)

    def answer(self) -> dict[str, Any]:
        """Wait for its end; what noticed the change, what it imported, and its processor time."""
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


def foreign_modules() -> list[str]:
    """The imported modules that are neither the package's nor read its source."""
    ours = ("k2compat", "tests", "scripts")
    return [name for name in sys.modules if name.partition(".")[0] not in ours]


def prepare() -> str | None:
    """Import what the tests import, and check these judges.

    Returns:
        What is wrong, or None.
    """
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    settings.load_profile("mutants")
    unchanged = Process(
        Changed("parser", (PACKAGE / "parser.py").read_text("utf-8")), Counter()
    ).answer()
    if unchanged["noticed_by"] is not None:
        return f"the tests fail without any change: {unchanged['noticed_by']}"
    for name in unchanged["modules"]:
        with contextlib.suppress(ImportError):  # some were only put there by a test
            importlib.import_module(name)
    if any(name.startswith("k2compat") for name in sys.modules):
        return "this process imported the package, so the others would test it unchanged"
    without_parser = Process(Changed("parser", "raise ImportError"), Counter()).answer()
    if without_parser["noticed_by"] != "import":
        return "the tests do not notice that the parser is gone"
    return None
