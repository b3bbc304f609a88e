"""A plan as scripts: one for each node, which starts all of its processes. Pure.

Commands that end (`ray start`, `docker pull`) run in order. A command that stays replaces the
script's process by `exec`, so that signals and the exit status are the engine's. If two processes
stay on one node, the script waits for the first that ends and stops the other.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from k2compat.launch.plan import Command, Plan
from k2compat.launch.render.health import entrances, ready_lines
from k2compat.launch.render.script import Script
from k2compat.launch.render.shell_words import call_lines, required_variables, shell_word
from k2compat.launch.render.waiting import Wait, function_lines, waits_of
from k2compat.launch.request import FILES, Argument, Node, Placeholder

_END_OF_FILE = "END_OF_FILE"

# `wait -n` misses a process that ended before it is called (bash 5.2), hence the polling; plain
# `wait` has the status of each. At the end each process is asked to end and waited for: a shell
# that ends first takes the time from them where it is the first process of a container or of
# Slurm's step. Files are removed first: where a rank of MPI ends, PMIx kills the others at once.
# After a minute they are killed: no process holds the GPUs for ever.
PROCESSES: Final = """
pids=()
first_that_ends() {{
    local pid
    while :; do
        for pid in "${{pids[@]}}"; do
            kill -0 "$pid" 2> /dev/null || {{ wait "$pid"; return; }}
        done
        sleep 0.5
    done
}}
end_all() {{{removes}
    {ask} 2> /dev/null || true
    for ((tries = 0; tries < 300; tries++)); do
        kill -0 "${{pids[@]}}" 2> /dev/null || break
        sleep 0.2
    done
    kill -KILL "${{pids[@]}}" 2> /dev/null || true{finally_}
}}
trap end_all EXIT
trap 'exit 143' TERM
trap 'exit 130' INT"""
ASK_TO_END: Final = 'kill "${pids[@]}"'

# `docker exec` hands on no signal (moby#9098), and a container that is stopped gives its other
# processes no time. So the process leaves its number in the container and is asked to end there;
# then the container goes, with which the script can be started again.
_IN_CONTAINER: Final = "/run/k2compat.pid"
_LEAVES_NUMBER: Final = f"""sh -c 'echo $$ > {_IN_CONTAINER} && exec "$@"' k2compat"""
_ASK_THERE: Final = f"""
containers=()
ask_to_end() {{
    # Without a process of this script, the container may be another run's.
    # shellcheck disable=SC2016  # the shell in the container expands it
    [ "${{#pids[@]}}" -eq 0 ] ||
        docker exec CONTAINER sh -c 'kill "$(cat {_IN_CONTAINER})"' || {ASK_TO_END}
}}"""
_REMOVE_CONTAINERS: Final = """
    [ "${#containers[@]}" -eq 0 ] || docker rm -f "${containers[@]}" > /dev/null || true"""
_NOT_EXPANDED: Final = "# shellcheck disable=SC2016  # the shell in the container expands it"
FIRST_THAT_ENDS: Final = "first_that_ends  # and takes the others with it"
_REMOVE: Final = f'\n    rm -rf "${{{FILES}}}"'


def as_scripts(plan: Plan) -> Mapping[str, Script]:
    """One script a node, by its file's name, and the files beside it that the commands read."""
    scripts = {f"{node.name}.sh": Script(node_script(plan, node), True) for node in plan.nodes}
    beside = {
        path: Script(text)
        for command in plan.commands
        for path, text in command.files.items()
        if lies_beside(path)
    }
    return {**scripts, **beside}


def lies_beside(path: str) -> bool:
    """Whether the file is in the folder of the scripts; others have an absolute path."""
    return not PurePosixPath(path).is_absolute()


def node_script(plan: Plan, node: Node, *, reports: bool = True, before: str = "") -> str:
    """The script that starts all processes of a node.

    Nodes are started in any order: each command waits for the processes that it needs.

    Args:
        plan: The plan.
        node: One of its nodes.
        reports: Whether a line is printed once the node's server accepts requests; formats with a
            health check of their own leave it out.
        before: Lines that set variables which the plan leaves open.
    """
    commands = [command for command in plan.commands if command.node == node]
    waiting = {command.id: list(waits_of(plan, command)) for command in commands}
    servers = [each for each in entrances(plan) if each.command.node == node] if reports else []
    waits = [*(wait for each in waiting.values() for wait in each), *(s.wait for s in servers)]
    return "\n".join(
        [
            *_head(plan, node, commands, before),
            *function_lines(waits),
            *_body(commands, waiting, list(ready_lines(plan, servers))),
            "",
        ]
    )


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
    """Whether it reads files that its script writes."""
    places = (placeholder for word in command.argv for placeholder in word.placeholders)
    return bool(command.files) and any(place.name == FILES for place in places)


def _body(
    commands: Sequence[Command],
    waiting: Mapping[str, Sequence[Wait]],
    ready: Sequence[str],
) -> Iterator[str]:
    """The commands, each after its lines of waiting."""
    staying = [command for command in commands if command.stays]
    brings_files = any(_brings_files(command) for command in commands)
    # A shell that has to remove files afterwards cannot be replaced by the command.
    started = {_container_of(command) for command in commands if "-d" in map(str, command.argv)}
    outlives = [c for c in staying if c.inside is not None and shell_word(c.inside) in started]
    several = len(staying) > 1 or brings_files or bool(outlives)
    if several:
        yield from _processes(outlives, _REMOVE if brings_files else "")
    for command in (*(c for c in commands if not c.stays), *staying):
        background, waits = several and command.stays, [w.line for w in waiting[command.id]]
        # A command that waits in the background has its own shell, which the command replaces.
        becomes = command.stays and (not background or bool(waits))
        *comments, call = _command(command, becomes=becomes, outlived=bool(outlives))
        if staying and command is staying[0]:
            yield from ready
        yield from comments
        if background and waits:
            yield from ("(", *waits, call, ") &")
        else:
            yield from waits
            yield f"{call} &" if background else call
        if background:
            yield 'pids+=("$!")'
    if several and staying:
        yield f"\n{FIRST_THAT_ENDS}"


def _command(command: Command, *, becomes: bool, outlived: bool) -> Iterator[str]:
    """The lines of one command.

    Args:
        command: The command.
        becomes: Whether it replaces the shell.
        outlived: Whether the node's container must end with the script.
    """
    after = f", after {', '.join(command.after)}" if command.after else ""
    yield f"\n# {command.id}{after}"
    yield from (f"#   {name}: {reason}" for name, reason in command.reasons.items())
    for path, text in command.files.items():
        if not lies_beside(path) or _brings_files(command):
            yield from _here_document(command, path, text)
    name = _container_of(command)
    if name is not None:
        yield from _refusal_of_leftover(name)
        if outlived:
            yield f"containers+=({name})"
    unless = f"[ -e {shlex.quote(command.creates)} ] || " if command.creates else ""
    lines = call_lines(command, becomes=becomes)
    if outlived and command.stays and command.inside is not None:
        yield _NOT_EXPANDED
        lines.insert(1, _LEAVES_NUMBER)
    yield unless + " \\\n    ".join(lines)


def _processes(in_containers: Sequence[Command], removes: str) -> Iterator[str]:
    """The functions that end what the script has started."""
    ask, finally_ = ASK_TO_END, ""
    for command in in_containers:
        container = shell_word(command.inside or Argument(()))
        ask, finally_ = "ask_to_end", _REMOVE_CONTAINERS
        yield _ASK_THERE.replace("CONTAINER", container)
    yield PROCESSES.format(ask=ask, removes=removes, finally_=finally_)


def _container_of(command: Command) -> str | None:
    """The name that `docker run` gives its container, as a shell word; None for other commands."""
    words = list(map(str, command.argv))
    if words[:2] != ["docker", "run"] or "--name" not in words:
        return None
    return shell_word(command.argv[words.index("--name") + 1])


def _refusal_of_leftover(name: str) -> Iterator[str]:
    """Lines that end the script before `docker run`, where an earlier run's container is there.

    It is not removed, since it may be serving.
    """
    yield f"if docker container inspect {name} > /dev/null 2>&1; then"
    yield f'    echo "A container of an earlier run is there. Remove it:" docker rm -f {name} >&2'
    yield "    exit 1"
    yield "fi"


def _here_document(command: Command, path: str, text: str) -> Iterator[str]:
    """Write a file to its path, without expanding anything in it."""
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
