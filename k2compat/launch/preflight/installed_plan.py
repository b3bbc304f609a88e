"""What the installed engine's own parser says of a plan's commands."""

import sys
from collections.abc import Iterator
from dataclasses import replace

from k2compat.findings import Finding
from k2compat.launch.flags import entry_of
from k2compat.launch.plan import Plan
from k2compat.launch.preflight.engine_parser import check_installed
from k2compat.launch.preflight.engine_python import engine_python


def check_plan_installed(plan: Plan) -> Iterator[Finding]:
    """Let the installed engine read the commands: one of each kind, for that takes seconds.

    Commands with the same flags differ in their values only, which the nodes have in common or
    number. The interpreter asked is the one that would start the engine.
    """
    asked: set[tuple[str, frozenset[str]]] = set()
    for command in plan.commands:
        if command.entry is None:
            continue
        start, entry = entry_of(command, plan.engine)
        words = [str(word) for word in command.argv]
        kind = entry.table, frozenset(word for word in words if word.startswith("-"))
        if kind in asked:
            continue
        asked.add(kind)
        verdict = check_installed(
            plan.engine,
            entry.table,
            plan.engine_version,
            words[start:],
            python=engine_python(words[0]) or sys.executable,
        )
        for finding in verdict.findings:
            yield replace(finding, where=f"{command.id}: {finding.where}")
        if verdict.version is None:
            return  # it is not installed, or does not answer: the others would say the same
