"""A plan as one sbatch file: Slurm chooses the nodes, each runs its script as a step. Pure.

What Slurm itself spreads (a command with `spread`) is one step over all nodes, with a task for
each GPU. With an image that the user named, the steps run in containers, which pyxis adds to
srun (https://github.com/NVIDIA/pyxis/wiki/Usage).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from k2compat.errors import RefusedError
from k2compat.launch.plan import Mount, Plan
from k2compat.launch.render.script import Script
from k2compat.launch.render.shell import node_script
from k2compat.launch.render.shell_words import required_variables, shell_word
from k2compat.launch.request import Argument

_END_OF_NODE: Final = "END_OF_NODE"

# pyxis separates by colon and comma, and enroot reads what is left as a line of fstab, where
# white space separates and ${NAME} is a variable.
_MOUNTABLE: Final = re.compile(r"[\w./@+=%~-]*")


def as_sbatch(plan: Plan) -> Mapping[str, Script]:
    """The file for `sbatch`.

    Raises:
        RefusedError: mount-malformed.
    """
    return {"launch.sbatch": Script("\n".join([*_lines(plan), ""]), executable=True)}


def _lines(plan: Plan) -> Iterator[str]:
    spread = any(command.spread for command in plan.commands)
    outside = _container_words(plan)
    addresses = {node: node.address.placeholders[0].name for node in plan.cluster.nodes}
    yield "#!/usr/bin/env bash"
    yield "#SBATCH --job-name=kimi-k2"
    yield f"#SBATCH --nodes={len(addresses)}"
    yield f"#SBATCH --ntasks-per-node={plan.cluster.gpus_per_node if spread else 1}"
    yield f"#SBATCH --gpus-per-node={plan.cluster.gpus_per_node}"
    yield "#SBATCH --exclusive"
    yield "#SBATCH --mem=0"
    yield "#SBATCH --output=%x-%j.log"
    yield f"# {plan.engine} {plan.engine_version}, strategy {plan.strategy}"
    yield "set -euo pipefail"
    yield from required_variables(plan.commands, but=addresses.values(), and_of=outside)
    if not spread:
        yield from _set_addresses(list(addresses.values()))
    container = [shell_word(word) for word in outside]
    for place, node in enumerate(plan.nodes):
        yield f"\nread -r -d '' script <<'{_END_OF_NODE}' || true"
        yield node_script(plan, node, waits=True).removesuffix("\n")
        yield _END_OF_NODE
        step = _step_everywhere(plan) if spread else _step_on(place)
        words = ["srun", *step, *container, 'bash -c "$script"']
        yield " \\\n    ".join(words) + ("" if spread else " &")
    if not spread:
        yield "\nwait -n  # the first node that ends takes the job with it"


def _set_addresses(names: list[str]) -> Iterator[str]:
    """Each node's variable becomes its address; then steps may be started, and ended together."""
    yield '\nmapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")'
    yield "address_of() { getent ahostsv4 \"$1\" | awk 'NR == 1 { print $1 }'; }"
    for place, name in enumerate(names):
        yield f'{name}="${{{name}:-$(address_of "${{hosts[{place}]}}")}}"'
    yield f"export {' '.join(names)}"
    yield "\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT"


def _step_on(place: int) -> list[str]:
    """One task, which may use every core of its node."""
    return ["--nodes=1", "--ntasks=1", "--cpu-bind=none", f'--nodelist="${{hosts[{place}]}}"']


def _step_everywhere(plan: Plan) -> list[str]:
    """All ranks are one step, which PMIx brings together; rank 0 is on the first node."""
    nodes, gpus = len(plan.cluster.nodes), plan.cluster.gpus_per_node
    return ["--mpi=pmix", f"--nodes={nodes}", f"--ntasks-per-node={gpus}"]


def _container_words(plan: Plan) -> list[Argument]:
    """The options of pyxis; none where no image was named."""
    if plan.image is None or not plan.image_given:
        return []
    mounts = Argument.join(",", map(_mount, plan.mounts))
    return [
        Argument.fill("--container-image={image}", {"image": plan.image}),
        *(
            [Argument.fill("--container-mounts={mounts}", {"mounts": mounts})]
            if mounts.parts
            else []
        ),
    ]


def _mount(mount: Mount) -> Argument:
    for path in (mount.source, mount.target):
        if not path.placeholders and not _MOUNTABLE.fullmatch(str(path)):
            raise RefusedError(
                "mount-malformed",
                f"{path} cannot be mounted by pyxis, which takes letters, digits and ./@+=%~_-.",
                hint="Name the folder by another path, for example through a link; or leave "
                "--image out.",
            )
    return Argument.fill("{s}:{t}:ro", {"s": mount.source, "t": mount.target})
