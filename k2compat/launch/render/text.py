"""A plan for a person: what must be there, then the commands of each node, with reasons."""

from collections.abc import Iterator

from k2compat.launch.plan import Command, Plan
from k2compat.launch.render.shell_words import call_lines

_INDENT = "    "


def as_text(plan: Plan) -> str:
    """The whole plan, to be read and to be pasted from."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"# {plan.engine} {plan.engine_version}, strategy {plan.strategy}, {_size(plan)}"
    if plan.prerequisites:
        yield "\n# Before the commands"
        for prerequisite in plan.prerequisites:
            yield f"# - {prerequisite.text}"
            if prerequisite.command:
                yield f"#   {prerequisite.command}"
    for node in plan.nodes:
        yield f"\n# --- {node.name} ({node.address}) ---"
        for command in plan.commands:
            if command.node == node:
                yield from _command(command)


def _size(plan: Plan) -> str:
    parts = [
        f"{group + ': ' if group else ''}{plan.cluster.size(group)} × "
        f"{plan.cluster.gpus_per_node} GPUs ({layout})"
        for group, layout in plan.layouts.items()
    ]
    return ", ".join(parts)


def _command(command: Command) -> Iterator[str]:
    yield ""
    after = f", after {', '.join(command.after)}" if command.after else ""
    yield f"# {command.id}{after}"
    for path, text in command.files.items():
        yield f"# {path}:"
        yield from (f"#   {line}" for line in text.splitlines())
    for name, reason in command.reasons.items():
        yield f"#   {name}: {reason}"
    if command.creates:
        yield f"# makes {command.creates}: once is enough"
    yield f" \\\n{_INDENT}".join(call_lines(command))
