"""Changes the parser's source in one place at a time and counts which changes the tests notice.

    python scripts/mutate_parser.py [--every N] [--module NAME] [--jobs N] [--results FILE]

A change the tests do not notice survives: either a test is missing, or the change makes no
difference. Survivors are printed with their line. `scripts/mutants.py` says what is changed,
and `scripts/mutant_judges.py` which tests are asked.

With `--results` each mutant's result is appended to a file of JSON lines, and mutants whose
result is there are not tested again: a run that was cut short goes on. `--retry` tests the
survivors in the file again. A module that was changed since is tested anew.
"""

import argparse
import ast
import hashlib
import json
import select
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, not as a module

from scripts.mutant_judges import PACKAGE, BrokenError, Changed, Process, Reach, judge, prepare
from scripts.mutants import Mutant, mutants

MODULES = (
    "argument_text",
    "forced/arguments",
    "forced/array",
    "forced/turn",
    "ids",
    "iterate",
    "json_members",
    "json_prefix",
    "machine",
    "markers",
    "parser",
    "record",
    "tools",
    "turn/actions",
    "turn/calls",
    "turn/content",
    "turn/header",
    "turn/plans",
    "turn/prose",
    "turn/section",
    "turn/state",
    "turn/stripped",
    "turn/turn",
    "turn/units",
)


class Work(NamedTuple):
    """A mutant of a module. The digest is of the module's source before the change."""

    module: str
    digest: str
    mutant: Mutant

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from all others."""
        return self.module, self.digest, self.mutant.number


def members_of(module: str, name: str) -> list[str]:
    """The members of an enumeration, read from the source: see `mutant_judges`."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text("utf-8"))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return [ast.unparse(node.targets[0]) for node in found.body if isinstance(node, ast.Assign)]


def all_work(modules: list[str], every: int, offset: int) -> Iterator[Work]:
    """The mutants of these modules, or each Nth."""
    members = {"State": members_of("machine", "State"), "Symbol": members_of("markers", "Symbol")}
    for module in modules:
        source = (PACKAGE / f"{module}.py").read_text("utf-8")
        digest = hashlib.sha256(source.encode()).hexdigest()[:12]
        for mutant in mutants(source, members):
            if mutant.number % every == offset:
                yield Work(module, digest, mutant)


def judged(
    works: Iterator[Work], jobs: int, kills: Counter[str], reach: Reach
) -> Iterator[tuple[Work, dict[str, Any]]]:
    """Judge mutants in several processes; each with its answer, in the order in which they end."""
    running: dict[int, tuple[Work, Process]] = {}
    for work in works:
        changed = Changed(work.module, work.mutant.source, work.mutant.function)
        process = Process(lambda changed=changed: judge(changed, kills, reach))  # type: ignore[misc]
        running[process.receiver] = work, process
        if len(running) == jobs:
            yield from ended(running)
    while running:
        yield from ended(running)


def ended(running: dict[int, tuple[Work, Process]]) -> Iterator[tuple[Work, dict[str, Any]]]:
    """Wait until some of the processes end, and take these out."""
    for receiver in select.select(list(running), [], [])[0]:
        work, process = running.pop(receiver)
        yield work, process.answer()


class Results:
    """What noticed each mutant, kept in a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.noticed_by: dict[tuple[str, str, int], str | None] = {}
        if path is not None and path.exists():
            for line in path.read_text("utf-8").splitlines():
                row = json.loads(line)
                key = row["module"], row["digest"], row["number"]
                # Noticed once is noticed: tests are added and not taken away.
                self.noticed_by[key] = row["noticed_by"] or self.noticed_by.get(key)
        self.kills = Counter(name for name in self.noticed_by.values() if name)

    def add(self, work: Work, answer: dict[str, Any]) -> None:
        """Keep one result, and print it if nothing noticed the mutant."""
        name, mutant = answer["noticed_by"], work.mutant
        self.noticed_by[work.key] = name
        if name:
            self.kills[name] += 1
        else:
            change = f"{mutant.before}  ->  {mutant.after}"
            print(f"{work.module}.py:{mutant.line}: survived: {change}", flush=True)
        if self.path is not None:
            row = {"module": work.module, "digest": work.digest}
            row |= {
                key: value
                for key, value in mutant._asdict().items()
                if key not in ("function", "source")
            }
            row |= {"noticed_by": name, "seconds": answer["seconds"]}
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")


def print_counts(keys: list[tuple[str, str, int]], results: Results) -> None:
    """Print how many mutants of each module were noticed."""
    tried, noticed = Counter[str](), Counter[str]()
    for key in keys:
        tried[key[0]] += 1
        noticed[key[0]] += results.noticed_by[key] is not None
    for module in tried:
        print(f"{module:18} {noticed[module]:4} of {tried[module]:4} noticed")
    print(f"{noticed.total()} of {tried.total()} noticed: {noticed.total() / tried.total():.1%}")


def main() -> int:
    """Make the mutants, test them, print the survivors and the figure."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--every", type=int, default=1, help="test each Nth mutant only")
    options.add_argument("--offset", type=int, default=0, help="the first mutant to test")
    options.add_argument("--module", choices=MODULES, action="append")
    options.add_argument("--jobs", type=int, default=1, help="how many to test at a time")
    options.add_argument("--results", type=Path, help="keep results here, and go on from these")
    options.add_argument("--retry", action="store_true", help="test the survivors in it again")
    chosen = options.parse_args()
    path = chosen.results and chosen.results.absolute()
    try:
        reach = prepare()
    except BrokenError as error:
        print(error)
        return 2
    results = Results(path)
    keys = []

    def still_open() -> Iterator[Work]:
        for work in all_work(chosen.module or list(MODULES), chosen.every, chosen.offset):
            keys.append(work.key)
            known = results.noticed_by.get(work.key, "")
            if known == "" or (known is None and chosen.retry):
                yield work

    for work, answer in judged(still_open(), chosen.jobs, results.kills, reach):
        results.add(work, answer)
    print_counts(keys, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
