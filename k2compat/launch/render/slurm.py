"""A plan as one sbatch file: Slurm chooses the nodes, each runs its script as a step. Pure."""

from collections.abc import Iterator, Mapping

from k2compat.launch.plan import Plan
from k2compat.launch.render.script import Script
from k2compat.launch.render.shell import node_script
from k2compat.launch.render.shell_words import required_variables

_END_OF_NODE = "END_OF_NODE"


def as_sbatch(plan: Plan) -> Mapping[str, Script]:
    """The file for `sbatch`."""
    return {"launch.sbatch": Script("\n".join([*_lines(plan), ""]), executable=True)}


def _lines(plan: Plan) -> Iterator[str]:
    names = [node.address.placeholders[0].name for node in plan.cluster.nodes]
    yield "#!/usr/bin/env bash"
    yield "#SBATCH --job-name=kimi-k2"
    yield f"#SBATCH --nodes={len(names)}"
    yield "#SBATCH --ntasks-per-node=1"
    yield f"#SBATCH --gpus-per-node={plan.cluster.gpus_per_node}"
    yield "#SBATCH --exclusive"
    yield "#SBATCH --output=%x-%j.log"
    yield f"# {plan.engine} {plan.engine_version}, strategy {plan.strategy}"
    yield "set -euo pipefail"
    yield from required_variables(plan.commands, but=names)
    yield '\nmapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")'
    yield "address_of() { getent ahostsv4 \"$1\" | awk 'NR == 1 { print $1 }'; }"
    for place, name in enumerate(names):
        yield f'{name}="${{{name}:-$(address_of "${{hosts[{place}]}}")}}"'
    yield f"export {' '.join(names)}"
    yield "\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT"
    for place, node in enumerate(plan.cluster.nodes):
        yield f"\nread -r -d '' script <<'{_END_OF_NODE}' || true"
        yield node_script(plan, node, waits=True).removesuffix("\n")
        yield _END_OF_NODE
        step = f'srun --nodes=1 --ntasks=1 --nodelist="${{hosts[{place}]}}"'
        yield f'{step} bash -c "$script" &'
    yield "\nwait -n  # the first node that ends takes the job with it"
