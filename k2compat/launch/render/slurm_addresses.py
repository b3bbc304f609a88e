"""The address of each node of a Slurm job, which the job finds itself.

Each node gives the IPv4 address of the interface that its GPUs use. Its own name is not resolved
first: Debian and Ubuntu resolve it to 127.0.1.1, and only Slurm may know some names. IPv6 addresses
are not used: the value of a variable cannot be put in brackets.
"""

from collections.abc import Iterator
from typing import Final

from k2compat.launch.plan import Plan
from k2compat.launch.render.shell_words import shell_word
from k2compat.launch.request import Argument

_INTERFACE: Final = "_SOCKET_IFNAME"

# Runs on each node, with pairs of node and interface as arguments.
_ON_A_NODE: Final = r"""
while [ "$1" != "$SLURMD_NODENAME" ]; do shift 2; done
reachable() { awk '$1 !~ /^(127|169\.254)\./ { print $1; exit }'; }
address=""
IFS=, read -r -a interfaces <<< "$2"
for interface in "${interfaces[@]}"; do
    found="$(ip -4 -o addr show dev "$interface" scope global 2> /dev/null || true)"
    found="$(awk '{ sub("/.*", "", $4); print $4 }' <<< "$found" | reachable)"
    address="${address:-$found}"
done
if [ -z "$2" ]; then
    address="$(getent ahostsv4 "$1" | reachable)"
    if [ -z "$address" ]; then
        known="$(scontrol -o show node "$1" | sed -n 's/.* NodeAddr=\([^ ]*\).*/\1/p')"
        address="$(getent ahostsv4 "$known" | reachable)"
    fi
fi
if [ -z "$address" ]; then
    echo "$1: ${2:-the name $1} has no IPv4 address that other nodes reach; there are:" >&2
    ip -4 -br addr >&2 || true
    exit 1
fi
echo "$1 $address"
""".strip()

_END: Final = "END_OF_ADDRESS"


def address_lines(plan: Plan) -> Iterator[str]:
    """Lines that set and export each node's variable; the job ends, with a reason, without one.

    Variables of these names in the environment of `sbatch` belong to another job.
    """
    nodes = plan.cluster.nodes
    names = [node.address.placeholders[0].name for node in nodes]
    pairs = [
        f'"${{hosts[{place}]}}" {shell_word(_interface(plan, place))}'
        for place in range(len(nodes))
    ]
    yield "\n# The address of each node, on the interface of its GPUs."
    yield 'mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")'
    yield f"read -r -d '' find_address <<'{_END}' || true"
    yield _ON_A_NODE
    yield _END
    words = [
        "srun --export=ALL",
        f"--nodes={len(nodes)} --ntasks={len(nodes)} --ntasks-per-node=1",
        'bash -c "$find_address" find_address',
        *pairs,
    ]
    yield 'found="$(' + " \\\n    ".join(words) + ')"'
    yield "declare -A address_of"
    yield 'while read -r host address; do address_of["$host"]="$address"; done <<< "$found"'
    for place, name in enumerate(names):
        yield f'{name}="${{address_of["${{hosts[{place}]}}"]}}"'
    yield f"export {' '.join(names)}"


def step_on(host: str) -> list[str]:
    """One task on a node, which may use every core of it."""
    return ["--nodes=1", "--ntasks=1", "--cpu-bind=none", f"--nodelist={host}"]


def _interface(plan: Plan, place: int) -> Argument:
    """The interface of a node's GPUs: the cluster's, else what its commands name; "" for none."""
    node = plan.cluster.nodes[place]
    if node.interface is not None:
        return node.interface
    for command in plan.commands:
        for name, word in command.environment.items():
            if command.node == node and name.endswith(_INTERFACE):
                return word
    return Argument(())
