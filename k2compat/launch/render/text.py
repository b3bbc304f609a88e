"""A plan for a person: the prerequisites, then the commands of each node, with reasons."""

import textwrap
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from k2compat.launch.plan import Command, Plan
from k2compat.launch.render.health import entrances, try_line
from k2compat.launch.render.script import Script
from k2compat.launch.render.shell_words import call_lines
from k2compat.launch.request import role_of
from k2compat.printable import counted

_INDENT = "    "
_WIDTH = 80


def as_text_file(plan: Plan) -> Mapping[str, Script]:
    """The plan as one file."""
    return {"launch.txt": Script(as_text(plan))}


def as_text(plan: Plan) -> str:
    """The whole plan, for reading and for pasting."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield _comment(f"{plan.engine} {plan.engine_version}, strategy {plan.strategy}, {_size(plan)}")
    if plan.prerequisites:
        yield "\n# Before the commands"
        for prerequisite in plan.prerequisites:
            yield _comment(f"- {prerequisite.text}")
            if prerequisite.command:
                yield f"#   {prerequisite.command}"
    told: set[tuple[str, str]] = set()
    for node in plan.nodes:
        yield f"\n# --- {node.name} ({node.address}) ---"
        for command in plan.commands:
            if command.node == node:
                yield from _command(command, told)
                told.update(command.reasons.items())
    for server in entrances(plan)[:1]:
        yield f"\n# When it serves: {try_line(plan, server)}"


def _size(plan: Plan) -> str:
    """The groups of nodes; those of one role and one size are named once, with their number."""
    alike: dict[str, list[str]] = {}
    for group, layout in plan.layouts.items():
        gpus = counted(plan.cluster.gpus_per_node, "GPU")
        alike.setdefault(
            f"{role_of(group)} {plan.cluster.size(group)} × {gpus} ({layout})", []
        ).append(group)
    parts = []
    for words, groups in alike.items():
        role, _, size = words.partition(" ")
        number = f"{counted(len(groups), 'group')} of " if len(groups) > 1 else ""
        parts.append(f"{role + ': ' if role else ''}{number}{size}")
    return ", ".join(parts)


def _command(command: Command, told: AbstractSet[tuple[str, str]]) -> Iterator[str]:
    """A command; a reason that the text has already is not repeated."""
    yield ""
    after = f", after {', '.join(command.after)}" if command.after else ""
    yield _comment(f"{command.id}{after}")
    for path, text in command.files.items():
        yield f"# {path}:"
        yield from (f"#   {line}" for line in text.splitlines())
    for name, reason in command.reasons.items():
        if (name, reason) not in told:
            yield _comment(f"  {name}: {reason}")
    if command.creates:
        yield f"# makes {command.creates}: once is enough"
    yield f" \\\n{_INDENT}".join(call_lines(command))


def _comment(words: str) -> str:
    """Lines that a terminal need not break."""
    begin = len(words) - len(words.lstrip(" "))
    return textwrap.fill(
        words,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent=f"# {' ' * (begin + 2)}",
        break_long_words=False,
        break_on_hyphens=False,
    )
