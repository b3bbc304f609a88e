"""A plan as members of a JSON document (`k2compat.launch/1`)."""

from typing import Any

from k2compat.launch.plan import Command, Plan
from k2compat.launch.request import Draft


def as_document(plan: Plan) -> dict[str, Any]:
    """The members besides schema and findings.

    argv is a list, never quoted; it holds placeholders as they were written.
    """
    return {
        "engine": plan.engine,
        "engine_version": plan.engine_version,
        "profile": plan.profile,
        "strategy": plan.strategy,
        **({} if plan.draft is None else {"draft": _draft(plan.draft)}),
        "commands": [_command(command) for command in plan.commands],
    }


def _draft(draft: Draft) -> dict[str, str]:
    named = {"name": str(draft.name)} if draft.name.parts else {}
    return {"kind": draft.kind, **named}


def _command(command: Command) -> dict[str, Any]:
    return {
        "id": command.id,
        "role": command.role,
        "node": command.node.name,
        "argv": [str(word) for word in command.argv],
        "env": {name: str(word) for name, word in command.environment.items()},
        "files": dict(command.files),
        "ports": [{"name": port.name, "port": _number(str(port.number))} for port in command.ports],
        "after": list(command.after),
        **({"spread": True} if command.spread else {}),
        **({} if command.inside is None else {"inside": str(command.inside)}),
    }


def _number(text: str) -> int | str:
    return int(text) if text.isdigit() else text
