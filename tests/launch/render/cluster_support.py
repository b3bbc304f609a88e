"""What the tests of the cluster formats share."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from k2compat.launch.engines.profile import read_profile
from k2compat.launch.flags import ENGINES
from k2compat.launch.plan import Plan
from k2compat.launch.planning.formats import for_format
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.render import render_plan
from k2compat.launch.request.arguments import Argument, Placeholder
from k2compat.launch.request.cluster import Cluster, Node, nodes_at
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request

PROGRAMS = (
    "vllm",
    "ray",
    "sglang",
    "python",
    "python3",
    "trtllm-llmapi-launch",
    "trtllm-serve",
    "pip",
)
OPEN = {
    "INTERFACE": "eth0",
    "IB_DEVICE": "mlx5_0",
    "CPU_WEIGHTS": "/cpu weights",
    "PHYSICAL_CORES": "64",
    "NUMA_NODES": "2",
    "IMAGE": "an/image",
}
CASES = [
    (engine, strategy)
    for engine in ENGINES
    for strategy in read_profile(engine).clusters["default"]
]
# The ranks of TensorRT-LLM are started by MPI: see the tests of its own below.
BY_NODE = [case for case in CASES if case[0] != "trtllm"]


def unnamed(
    engine: str, strategy: str | None, decode: int = 3, prefill: int = 2
) -> tuple[Node, ...]:
    """Nodes that a scheduler chooses: two, or as many as the engine can use."""
    if strategy == "pd":
        return (*nodes_at([str(prefill)], "prefill"), *nodes_at([str(decode)], "decode"))
    return nodes_at(["1" if engine == "ktransformers" else "2"])


def requested(
    output_format: str, *, nodes: int | None = None, engine: str = "vllm", **rest: Any
) -> Request:
    """A request as the command makes it."""
    sizes = {"decode": rest.pop("decode", 3), "prefill": rest.pop("prefill", 2)}
    chosen = (
        unnamed(engine, rest.get("strategy"), **sizes) if nodes is None else nodes_at([str(nodes)])
    )
    values = {name: Argument.parse(value) for name, value in rest.pop("values", {}).items()}
    request = Request(
        engine=engine,
        model=read_model(rest.pop("model", "/models/K2")),
        cluster=Cluster(chosen),
        values=values,
        **rest,
    )
    return for_format(request, output_format)


def rendered(output_format: str, **rest: Any) -> tuple[Plan, dict[str, str]]:
    plan = plan_launch(requested(output_format, **rest))
    return plan, {name: file.text for name, file in render_plan(plan, output_format).items()}


def without_nodes(output_format: str, **rest: Any) -> tuple[Plan, dict[str, str]]:
    request = for_format(
        Request(model=read_model("/models/K2"), **{"engine": "vllm", **rest}), output_format
    )
    plan = plan_launch(request)
    return plan, {name: file.text for name, file in render_plan(plan, output_format).items()}


def script(folder: Path, text: str, name: str = "script.sh") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def at_once(text: str) -> str:
    """The script for stand-ins, which listen on no port and end at once: it waits for all."""
    text = re.sub(r"^ *wait_until .*$", "true", text, flags=re.MULTILINE)
    return text.replace("\nfirst_that_ends ", "\nwait ")


def as_kubernetes_expands(text: str, variables: Mapping[str, str]) -> str:
    """What a container gets of a text in `command`, by the rules of the API's reference.

    $(NAME) is the variable's value where there is one and stays otherwise; $$ is a dollar. What
    follows another dollar is taken as one byte of Latin-1, as Kubernetes' Go code does.
    """

    def replaced(match: re.Match[str]) -> str:
        name, dollar, other = match.groups()
        if name is not None:
            return variables.get(name, f"$({name})")
        return "$" if dollar else "$" + other.encode()[:1].decode("latin-1")

    return re.sub(r"\$(?:\(([^)]*)\)|(\$)|([^\x00-\x7f]))", replaced, text)


def calls(records: list[dict[str, Any]]) -> list[list[str]]:
    return sorted(record["argv"] for record in records)


def filled(word: Argument, values: Mapping[str, str]) -> str:
    return "".join(
        values[part.name] if isinstance(part, Placeholder) else part for part in word.parts
    )


def addresses(engine: str, strategy: str) -> dict[str, str]:
    """The variable of each node → its address."""
    names = [node.address.placeholders[0].name for node in unnamed(engine, strategy)]
    return {name: f"10.0.0.{place}" for place, name in enumerate(names, 1)}


def by_hand(engine: str, strategy: str, model: str) -> list[list[str]]:
    """What the scripts of `--format sh` call, on nodes with these addresses."""
    known = addresses(engine, strategy)
    nodes = [
        replace(node, address=Argument.literal(known[node.address.placeholders[0].name]))
        for node in unnamed(engine, strategy)
    ]
    request = Request(
        engine=engine,
        model=read_model(model),
        cluster=Cluster(tuple(nodes)),
        strategy=strategy,
    )
    commands = plan_launch(request).commands
    return sorted([filled(word, OPEN) for word in command.argv] for command in commands)


def texts(value: Any) -> Iterator[str]:
    """Every string of a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)
