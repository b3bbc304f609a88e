"""Execution of a node's commands in this process: signals and exit status are the engine's."""

import os
import signal
from collections.abc import Mapping, Sequence
from typing import NoReturn

from k2compat.errors import RefusedError
from k2compat.launch.plan import Command, Plan
from k2compat.launch.render import lies_beside, node_script, open_names
from k2compat.launch.request import Node


def become_node(plan: Plan, node: Node, environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by the commands of a node.

    One command is executed without a shell. Several commands are executed as the node's script,
    whose last step is the engine itself.

    Args:
        plan: The plan, with the values of this node's variables filled in.
        node: One of its nodes.
        environment: The variables of this process; the commands' own override them.

    Raises:
        RefusedError: placeholder-unset, run-needs-files, nothing-to-run or program-not-found;
            nothing was started.
    """
    commands = [command for command in plan.commands if command.node == node]
    _demand_runnable(node, commands)
    if len(commands) == 1 and commands[0].inside is None and not commands[0].files:
        own = {name: str(word) for name, word in commands[0].environment.items()}
        _execute([str(word) for word in commands[0].argv], {**environment, **own})
    _execute(["bash", "-c", node_script(plan, node)], environment)


def _demand_runnable(node: Node, commands: Sequence[Command]) -> None:
    if not commands:
        raise RefusedError(
            "nothing-to-run",
            f"Nothing of this plan runs on {node.name}.",
            hint="Other nodes start its processes; leave --run out to see which.",
        )
    unset = open_names(commands)
    if unset:
        raise RefusedError(
            "placeholder-unset",
            f"{node.name} cannot be started: no value for {', '.join(unset)}.",
            hint=f"Give it as an option, or set the variable: export {unset[0]}=…",
        )
    if any(lies_beside(path) for command in commands for path in command.files):
        raise RefusedError(
            "run-needs-files",
            f"The commands of {node.name} read files that have to be written first.",
            hint=f"Write them and the script: --format sh --out DIR; then run DIR/{node.name}.sh",
        )


def _execute(words: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    # Python ignores this signal, and the new process would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvpe(words[0], list(words), dict(environment))  # noqa: S606 - no shell is meant
    except OSError as error:
        raise RefusedError(
            "program-not-found",
            f"{words[0]} cannot be started: {error.strerror}.",
            hint="Install the engine, or activate the environment it is installed in.",
        ) from error
