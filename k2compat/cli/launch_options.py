"""The arguments of `launch` and `preflight`: engine, model and cluster, read into a Request."""

from collections.abc import Callable, Mapping
from typing import Any

import click
from msgspec.structs import replace

from k2compat.cli.completions import complete_gpu, complete_setting
from k2compat.cli.paths import PATH
from k2compat.cli.values import TEXT, TOKENS, Engine, Number
from k2compat.launch import (
    GPUS_MAX,
    GPUS_PER_NODE,
    PROFILES,
    STRATEGIES,
    Argument,
    Cluster,
    Request,
    engine_aliases,
    engine_names,
    groups_at,
    port,
    read_cluster,
    read_draft,
    read_model,
    user_value,
    with_devices,
)

# Options whose value goes into the profile's templates under the same name.
_PORTS = ("port", "rpc_port", "master_port", "ssh_port")
_VALUES = ("served_model_name", "image", "context", "gguf_path")

SECTIONS = {
    "The cluster": (
        *("nodes", "prefill_nodes", "decode_nodes", "gpus_per_node", "gpu"),
        *("cluster", "interface", "ib_device"),
    ),
    "The plan": (
        *("strategy", "goal", "draft", "engine_version", "profile", "executor", "amx", "gguf_path"),
        "settings",
    ),
    "Network and naming": (
        *("port", "rpc_port", "master_port", "ssh_port", "served_model_name", "context", "image"),
    ),
}
"""Title → parameters, for the help."""

_DECORATORS = (
    click.argument("engine", metavar="ENGINE", type=Engine(engine_names(), engine_aliases)),
    click.argument("model"),
    click.option(
        "--nodes",
        metavar="HOST,…",
        type=TEXT,
        help="The nodes, the first one first; or their number.  [default: one]",
    ),
    click.option(
        "--prefill-nodes",
        metavar="HOST,…",
        type=TEXT,
        multiple=True,
        help="For strategy pd: the prefill nodes; repeat it for each group.",
    ),
    click.option(
        "--decode-nodes",
        metavar="HOST,…",
        type=TEXT,
        multiple=True,
        help="For strategy pd: the decode nodes; repeat it for each group.",
    ),
    click.option(
        "--gpus-per-node",
        metavar="N",
        type=Number(1, GPUS_MAX),
        help=f"GPUs of each node.  [default: {GPUS_PER_NODE}]",
    ),
    click.option(
        "--gpu",
        metavar="NAME|GiB",
        type=TEXT,
        shell_complete=complete_gpu,
        help="h200, h20, … or GiB per GPU; switches on the check of the fit.",
    ),
    click.option(
        "--cluster", metavar="FILE", type=PATH, help="All of these values in a TOML file."
    ),
    click.option(
        "--interface", metavar="NAME", type=TEXT, help="The network interface between the nodes."
    ),
    click.option(
        "--ib-device", metavar="NAME,…", type=TEXT, help="The InfiniBand or RoCE devices."
    ),
    click.option(
        "--strategy",
        type=click.Choice(STRATEGIES),
        help="How the GPUs are divided.  [default: the simplest that uses them all]",
    ),
    click.option(
        "--goal",
        type=click.Choice(("latency", "throughput", "context")),
        help="Settings that the engine's documents give for it, with their source.",
    ),
    click.option(
        "--draft",
        metavar="DIR|NAME|mtp",
        type=TEXT,
        help="Speculative decoding: an EAGLE3 draft, or the model's own MTP layer.",
    ),
    click.option(
        "--engine-version",
        metavar="VERSION",
        type=TEXT,
        help="The engine's version.  [default: the newest known]",
    ),
    click.option(
        "--profile",
        type=click.Choice(PROFILES),
        default="default",
        show_default=True,
        help="Commands that work now, or exactly those of the deployment guide.",
    ),
    click.option(
        "--executor",
        type=click.Choice(("mp", "ray")),
        help="vLLM over several nodes: its own --nnodes, or Ray.  [default: mp if it has it]",
    ),
    click.option("--amx", is_flag=True, help="KTransformers: experts on the CPU's AMX units."),
    click.option(
        "--gguf-path",
        metavar="DIR",
        type=TEXT,
        help="KTransformers: the folder of the GGUFs.  [default: MODEL]",
    ),
    click.option(
        "--set",
        "settings",
        metavar="FLAG[=VALUE]",
        multiple=True,
        shell_complete=complete_setting,
        help="A flag for the engine; may be repeated.",
    ),
    click.option(
        "--port",
        metavar="PORT",
        type=TEXT,
        help="The port for clients.  [default: the engine's own]",
    ),
    click.option(
        "--rpc-port",
        metavar="PORT",
        type=TEXT,
        help="vLLM: the port that connects data-parallel ranks.  [default: 13345]",
    ),
    click.option(
        "--master-port",
        metavar="PORT",
        type=TEXT,
        help="The port that connects the nodes.  [default: vllm 29501, sglang 20000]",
    ),
    click.option(
        "--ssh-port",
        metavar="PORT",
        type=TEXT,
        help="TensorRT-LLM: the port of the containers' sshd.  [default: 2233]",
    ),
    click.option(
        "--served-model-name",
        metavar="NAME",
        type=TEXT,
        help="The name that clients use.  [default: kimi-k2]",
    ),
    click.option(
        "--context",
        metavar="N",
        type=TOKENS,
        help="Tokens of context to serve.  [default: the model's]",
    ),
    click.option(
        "--image", metavar="IMAGE", type=TEXT, help="The container image.  [default: the engine's]"
    ),
)


def launch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options; the command takes them as `**options`."""
    for decorator in reversed(_DECORATORS):
        command = decorator(command)
    return command


def read_request(options: Mapping[str, Any]) -> Request:
    """The request that the options describe.

    Raises:
        RefusedError: An invalid value; the hint names the fix.
        click.UsageError: Options that cannot be combined.
    """
    executor = options["executor"]
    facts = {name for name in ("amx",) if options[name]}
    cluster = _cluster(options)
    model = read_model(options["model"])
    return Request(
        engine=options["engine"],
        model=model,
        cluster=cluster,
        engine_version=options["engine_version"],
        profile=options["profile"],
        strategy=options["strategy"],
        values=_values(options),
        facts=frozenset(facts | ({f"executor={executor}"} if executor else set())),
        settings=options["settings"],
        goal=options["goal"],
        draft=None if options["draft"] is None else read_draft(options["draft"], model),
    )


def _values(options: Mapping[str, Any]) -> Mapping[str, Argument]:
    values = {name: port(options[name], _option(name)) for name in _PORTS if options[name]}
    values |= {
        name: user_value(str(options[name]), _option(name)) for name in _VALUES if options[name]
    }
    return values


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _cluster(options: Mapping[str, Any]) -> Cluster | None:
    nodes = options["nodes"]
    lists = {
        "": [] if nodes is None else [nodes],
        "prefill": options["prefill_nodes"],
        "decode": options["decode_nodes"],
    }
    if options["cluster"] is not None:
        if any(lists.values()):
            raise click.UsageError("--cluster names the nodes; leave the lists of nodes out.")
        cluster = read_cluster(options["cluster"])
    elif any(lists.values()):
        cluster = Cluster(
            groups_at(
                {role: [each.split(",") for each in groups] for role, groups in lists.items()}
            )
        )
    else:
        cluster = Cluster(())
    members = with_devices(cluster.nodes, options["interface"], options["ib_device"])
    return replace(
        cluster,
        nodes=tuple(members),
        gpus_per_node=options["gpus_per_node"] or cluster.gpus_per_node,
        gpu=options["gpu"] or cluster.gpu,
    )
