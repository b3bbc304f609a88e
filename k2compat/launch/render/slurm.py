"""A plan as one sbatch file: Slurm chooses the nodes, each runs its script as a step. Pure.

A command with `spread` is one step over all nodes, with a task for each GPU. If the user named an
image, the steps run in containers, which pyxis adds to srun
(https://github.com/NVIDIA/pyxis/wiki/Usage).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import structs

from k2compat.errors import RefusedError
from k2compat.launch.plan import Mount, Plan
from k2compat.launch.render.health import entrances, ready_lines
from k2compat.launch.render.script import Script
from k2compat.launch.render.shell import FIRST_THAT_ENDS, PROCESSES, node_script
from k2compat.launch.render.shell_words import open_names, required_variables, shell_word
from k2compat.launch.render.slurm_addresses import address_lines, step_on
from k2compat.launch.render.waiting import function_lines
from k2compat.launch.request import Argument, Placeholder

_END_OF_NODE: Final = "END_OF_NODE"
_FIRST_NODE: Final = Argument((Placeholder("SLURMD_NODENAME", "$SLURMD_NODENAME"),))

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
    addresses = [node.address.placeholders[0].name for node in plan.cluster.nodes]
    meets = bool({*open_names(plan.commands)}.intersection(addresses))
    servers = entrances(plan)
    if not meets:  # the job runs on its first node, and the server listens there
        servers = [structs.replace(server, seen_from_outside=_FIRST_NODE) for server in servers]
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
    needed = (*outside, *(node.interface for node in plan.cluster.nodes if node.interface))
    yield from required_variables(plan.commands, but=addresses, and_of=needed)
    if meets:
        yield from address_lines(plan)
    yield PROCESSES.format(ask='scancel --signal=TERM "$SLURM_JOB_ID"', removes="", finally_="")
    yield from function_lines(server.wait for server in servers)
    yield from ready_lines(plan, servers)
    container = [shell_word(word) for word in outside]
    for place, node in enumerate(plan.nodes):
        yield f"\nread -r -d '' script <<'{_END_OF_NODE}' || true"
        yield node_script(plan, node, reports=False).removesuffix("\n")
        yield _END_OF_NODE
        step = (
            _step_everywhere(plan)
            if spread
            else step_on(f'"${{hosts[{place}]}}"')
            if meets
            else ["--nodes=1", "--ntasks=1", "--cpu-bind=none"]
        )
        words = ["srun", "--export=ALL", *step, *container, 'bash -c "$script"']
        yield " \\\n    ".join(words) + " &"
        yield 'pids+=("$!")'
    yield f"\n{FIRST_THAT_ENDS}"


def _step_everywhere(plan: Plan) -> list[str]:
    """All ranks as one step, which PMIx connects; rank 0 is on the first node.

    PMIx does not notice a rank that ends before MPI_Init: without --kill-on-bad-exit the others
    wait for it and keep all GPUs (tried with Slurm 22.05).
    """
    nodes, gpus = len(plan.cluster.nodes), plan.cluster.gpus_per_node
    return [
        "--mpi=pmix",
        "--kill-on-bad-exit=1",
        f"--nodes={nodes}",
        f"--ntasks-per-node={gpus}",
    ]


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
