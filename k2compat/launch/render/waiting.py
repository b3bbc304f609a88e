"""Waits of scripts for a port, a file or HTTP; each has a limit and prints a line each minute.

A wait without a limit keeps a job's GPUs for ever, and one without output looks like a hang. The
functions are bash: curl is not in every container, but /dev/tcp is in every bash.
"""

import shlex
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from k2compat.launch.plan import Command, Plan
from k2compat.launch.render.shell_words import shell_word
from k2compat.launch.request import Argument, Node, host_port

# For files and processes that are ready quickly on another node: keys, sshd, Ray's head.
STARTS_WITHIN: Final = 600
# For a server that reads a terabyte of weights, possibly from shared storage.
LOADS_WITHIN: Final = 7200

_WAIT: Final = """
wait_until() {  # WHAT SECONDS COMMAND…: until it succeeds; status 1 after so many seconds
    local what="$1" limit="$2" start=$SECONDS shown=$SECONDS
    shift 2
    until "$@" 2> /dev/null; do
        kill -0 $$ 2> /dev/null || return 1 # the script has ended
        if ((SECONDS - start >= limit)); then
            echo "$what: not within $limit s" >&2
            return 1
        fi
        if ((SECONDS - shown >= 60)); then
            echo "waiting for $what, $((SECONDS - start)) of $limit s" >&2
            shown=$SECONDS
        fi
        sleep 2
    done
}"""

# Dropped packets hold a connection up for two minutes, hence the time-outs.
_LISTENS: Final = """
listens() {  # HOST PORT
    # shellcheck disable=SC2016  # the inner shell expands them
    timeout 5 bash -c 'exec 3<> "/dev/tcp/$0/$1"' "$1" "$2"
}"""

_ANSWERS: Final = """
answers() {  # HOST PORT PATH: whether HTTP gives 200 there
    # shellcheck disable=SC2016  # the inner shell expands them
    timeout 10 bash -c 'exec 3<> "/dev/tcp/$0/$1"
        printf "GET %s HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n" "$2" "$0" >&3
        read -r _ status _ <&3
        [ "$status" = 200 ]' "$1" "$2" "$3"
}"""

# Ray's head listens some seconds before its own node is in the list, and what connects meanwhile,
# a worker or the engine, fails ("No node info found for head node"). Ray 2 prints a line for each
# kind of node, " 1 node_...".
_RAY_HAS_NODES: Final = """
ray_has_nodes() {  # ADDRESS
    timeout 60 ray status --address "$1" | grep '^ [1-9][0-9]* [^ ]*$' > /dev/null
}"""

_FUNCTIONS: Final = {
    "listens": _LISTENS,
    "answers": _ANSWERS,
    "ray_has_nodes": _RAY_HAS_NODES,
}


class Wait(msgspec.Struct, frozen=True):
    """A condition for which a script waits.

    Attributes:
        what: The condition in words.
        seconds: The limit.
        test: The command that succeeds once the condition is true: "listens", "answers",
            "ray_has_nodes" or "test", and its arguments in the form of the shell.
    """

    what: str
    seconds: int
    test: tuple[str, ...]

    @property
    def line(self) -> str:
        """The call of `wait_until`."""
        return f"wait_until {shlex.quote(self.what)} {self.seconds} {' '.join(self.test)}"


def function_lines(waits: Iterable[Wait]) -> Iterator[str]:
    """The functions that these waits call."""
    names = {wait.test[0] for wait in waits}
    if names:
        yield _WAIT
    for name, text in _FUNCTIONS.items():
        if name in names:
            yield text


def waits_of(plan: Plan, command: Command) -> Iterator[Wait]:
    """The waits of a command, on nodes that are started in any order."""
    by_id = {other.id: other for other in plan.commands}
    for other in (by_id[name] for name in command.after):
        elsewhere = other.node != command.node
        if other.creates and elsewhere:
            file = shlex.quote(other.creates)
            yield Wait(f"{other.creates} of {other.id}", STARTS_WITHIN, ("test", "-s", file))
        address = address_for_others(plan, other.node)
        if address and other.ports and str(other.argv[0]) == "ray":
            test = ("ray_has_nodes", shell_word(host_port(address, other.ports[0].number)))
            yield Wait(f"{other.id} to have its node", STARTS_WITHIN, test)
        elif address and other.ports and (other.stays or elsewhere):
            place = (shell_word(address), shell_word(other.ports[0].number))
            yield Wait(f"{other.id} to listen", _limit(other), ("listens", *place))


def address_for_others(plan: Plan, node: Node) -> Argument | None:
    """Its address for other nodes; None for a symbolic node, which represents many."""
    if node.is_first:
        return plan.cluster.first(node.group)
    return None if node.rank.placeholders else node.address


def _limit(command: Command) -> int:
    """The limit: a command with an entry point of the engine loads the model before it listens."""
    return LOADS_WITHIN if command.entry else STARTS_WITHIN
