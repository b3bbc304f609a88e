"""A plan as scripts: one a node, which starts everything that belongs on it. Pure.

What ends (`ray start`, `docker pull`) runs in order; what stays becomes the script's process
by `exec`, so that signals and the exit status are the engine's. Where two processes stay on
one node, the script waits for the first that ends and takes the other with it.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from k2compat.launch.plan import Command, Plan
from k2compat.launch.render.script import Script
from k2compat.launch.render.shell_words import call_lines, required_variables, shell_word
from k2compat.launch.request import FILES, Argument, Node, Placeholder

_END_OF_FILE = "END_OF_FILE"


def as_scripts(plan: Plan, *, waits: bool = False) -> Mapping[str, Script]:
    """One script a node, by its file's name, and the files beside it that the commands read.

    Args:
        plan: The plan.
        waits: See `node_script`.
    """
    scripts = {
        f"{node.name}.sh": Script(node_script(plan, node, waits=waits), True) for node in plan.nodes
    }
    beside = {
        path: Script(text)
        for command in plan.commands
        for path, text in command.files.items()
        if lies_beside(path)
    }
    return {**scripts, **beside}


def as_waiting_scripts(plan: Plan) -> Mapping[str, Script]:
    """The scripts for nodes that start in any order: Ray's workers may be before the head."""
    return as_scripts(plan, waits=True)


def lies_beside(path: str) -> bool:
    """Whether the file lies with the scripts; others are written where their path says."""
    return not PurePosixPath(path).is_absolute()


def node_script(plan: Plan, node: Node, *, waits: bool = False, before: str = "") -> str:
    """What starts everything that belongs on a node.

    Args:
        plan: The plan.
        node: One of its nodes.
        waits: Whether a command waits for the ports of those that must have been started before
            it and stay; for nodes that are started in any order.
        before: Lines that set variables which the plan leaves open.
    """
    commands = [command for command in plan.commands if command.node == node]
    waiting = {c.id: list(_waiting(plan, c)) for c in commands if waits}
    return "\n".join([*_head(plan, node, commands, before), *_body(commands, waiting), ""])


def _waiting(plan: Plan, command: Command) -> Iterator[str]:
    """Lines that hold a command up until what it comes after listens."""
    by_id = {other.id: other for other in plan.commands}
    for other in (by_id[name] for name in command.after):
        address = _address_for_others(plan, other.node)
        if address and other.ports and (other.stays or other.node != command.node):
            values = {"host": address, "port": other.ports[0].number}
            place = shell_word(Argument.fill("/dev/tcp/{host}/{port}", values))
            yield f"# until {other.id} listens"
            yield f"until (exec 3<> {place}) 2> /dev/null; do sleep 2; done"


def _address_for_others(plan: Plan, node: Node) -> Argument | None:
    """Where other nodes reach it; None for a symbolic node, which stands for many."""
    if node.is_first:
        return plan.cluster.first(node.group)
    return None if node.rank.placeholders else node.address


def _head(plan: Plan, node: Node, commands: Sequence[Command], before: str) -> Iterator[str]:
    yield "#!/usr/bin/env bash"
    if any(_looks_expandable(part) for c in commands for word in c.words for part in word.parts):
        yield "# shellcheck disable=SC2016  # dollars in single quotes are part of a name"
    yield f"# {plan.engine} {plan.engine_version}, strategy {plan.strategy}: {node.name}"
    for prerequisite in plan.prerequisites:
        yield f"# Before: {prerequisite.text}"
        if prerequisite.command:
            yield f"#     {prerequisite.command}"
    yield "set -euo pipefail"
    if before:
        yield f"\n{before}"
    yield from required_variables(commands)
    if any(_brings_files(command) for command in commands):
        yield f'\n{FILES}="$(mktemp -d)"  # nothing lies beside this script'
    elif any(lies_beside(path) for command in commands for path in command.files):
        yield '\ncd "$(dirname "${BASH_SOURCE[0]}")"  # the files of the commands lie beside'


def _looks_expandable(part: str | Placeholder) -> bool:
    return isinstance(part, str) and ("$" in part or "`" in part)


def _brings_files(command: Command) -> bool:
    """Whether it reads its files where its script has written them."""
    places = (placeholder for word in command.argv for placeholder in word.placeholders)
    return bool(command.files) and any(place.name == FILES for place in places)


def _body(commands: Sequence[Command], waiting: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The commands, each behind the lines that hold it up."""
    staying = [command for command in commands if command.stays]
    several = len(staying) > 1
    if several:
        yield "\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT"
        yield "trap 'exit 143' TERM\ntrap 'exit 130' INT"
    for command in (*(c for c in commands if not c.stays), *staying):
        background, before = several and command.stays, waiting.get(command.id, ())
        # What waits in the background is a shell of its own, which becomes the command.
        becomes = command.stays and (not background or bool(before))
        *comments, call = _command(command, becomes=becomes)
        yield from comments
        if background and before:
            yield from ("(", *before, call, ") &")
        else:
            yield from before
            yield f"{call} &" if background else call
    if several:
        yield "\nwait -n  # the first that ends takes the others with it"


def _command(command: Command, *, becomes: bool) -> Iterator[str]:
    after = f", after {', '.join(command.after)}" if command.after else ""
    yield f"\n# {command.id}{after}"
    yield from (f"#   {name}: {reason}" for name, reason in command.reasons.items())
    for path, text in command.files.items():
        if not lies_beside(path) or _brings_files(command):
            yield from _here_document(command, path, text)
    unless = f"[ -e {shlex.quote(command.creates)} ] || " if command.creates else ""
    yield unless + " \\\n    ".join(call_lines(command, becomes=becomes))


def _here_document(command: Command, path: str, text: str) -> Iterator[str]:
    """Write a file where its path says, without expanding anything in it."""
    folder, file = shlex.quote(str(PurePosixPath(path).parent)), shlex.quote(path)
    if lies_beside(path):
        file = f'"${{{FILES}}}"/{file}'
        yield f"cat > {file} <<'{_END_OF_FILE}'"
    elif command.inside is None:
        yield f"mkdir -p {folder}"
        yield f"cat > {file} <<'{_END_OF_FILE}'"
    else:
        container = shell_word(command.inside)
        yield f"docker exec {container} mkdir -p {folder}"
        yield f"docker exec -i {container} tee {file} > /dev/null <<'{_END_OF_FILE}'"
    yield text.removesuffix("\n")
    yield _END_OF_FILE
