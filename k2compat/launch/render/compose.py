"""A plan as files for `docker compose`, one for each node: its script in a container. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from k2compat.launch.plan import Command, Plan
from k2compat.launch.render.health import Health, health_of
from k2compat.launch.render.script import Script
from k2compat.launch.render.shell import node_script
from k2compat.launch.render.shell_words import open_names
from k2compat.launch.render.waiting import LOADS_WITHIN
from k2compat.launch.render.yaml_text import as_yaml
from k2compat.launch.request import Argument, Node, Placeholder

_NVIDIA: Final[Mapping[str, Any]] = {
    "deploy": {
        "resources": {
            "reservations": {
                "devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]
            }
        }
    }
}

_AMD: Final[Mapping[str, Any]] = {
    "devices": ["/dev/kfd:/dev/kfd", "/dev/dri:/dev/dri"],
    "group_add": ["video"],
    "cap_add": ["SYS_PTRACE"],
    "security_opt": ["seccomp=unconfined"],
}
"""All GPUs, as ROCm's pages of vLLM and SGLang start their containers.

https://rocm.docs.amd.com/projects/ai-ecosystem/en/latest/inference/vllm.html
"""


def as_compose(plan: Plan) -> Mapping[str, Script]:
    """One file for each node."""
    return {
        f"compose-{node.name}.yaml": Script(
            as_yaml(
                {"services": {node.name: _service(plan, node)}},
                comments=[f"On {node.name}: docker compose -f compose-{node.name}.yaml up"],
            )
        )
        for node in plan.nodes
    }


def _service(plan: Plan, node: Node) -> dict[str, Any]:
    commands = [command for command in plan.commands if command.node == node]
    service: dict[str, Any] = {
        "image": _word(plan.image or Argument.parse("$IMAGE")),
        "network_mode": "host",
        "ipc": "host",
        "ulimits": {"memlock": -1, "stack": 67108864},
        **(_AMD if plan.amd else _NVIDIA),
    }
    if _uses_infiniband(node, commands):
        service["cap_add"] = [*service.get("cap_add", ()), "IPC_LOCK"]
        service["devices"] = [*service.get("devices", ()), "/dev/infiniband:/dev/infiniband"]
    if plan.mounts:
        service["volumes"] = [
            {
                "type": "bind",
                "source": _word(mount.source),
                "target": _word(mount.target),
                "read_only": True,
            }
            for mount in plan.mounts
        ]
    names = open_names(commands)
    if names:
        service["environment"] = {name: f"${{{name}:?is not set}}" for name in names}
    service["entrypoint"] = ["bash", "-c"]
    service["command"] = [_literal(node_script(plan, node, reports=False))]
    health = health_of(plan, node)
    if health is not None:
        service["healthcheck"] = _health_check(health)
    return service


def _health_check(health: Health) -> dict[str, Any]:
    """A check that is healthy once the server accepts requests; loading is no failure."""
    return {
        "test": ["CMD", "bash", "-c", _literal(health.test)],
        "interval": "30s",
        "timeout": "10s",
        "retries": 3,
        "start_period": f"{LOADS_WITHIN}s",
    }


def _uses_infiniband(node: Node, commands: Sequence[Command]) -> bool:
    """Whether its devices were named, or a flag asks for them."""
    words = {str(word) for command in commands for word in command.argv}
    return node.ib_device is not None or any(word.endswith("ib-device") for word in words)


def _word(word: Argument) -> str:
    """Compose expands ${NAME} itself; every other dollar is doubled."""
    return "".join(
        f"${{{part.name}:?is not set}}" if isinstance(part, Placeholder) else _literal(part)
        for part in word.parts
    )


def _literal(text: str) -> str:
    return text.replace("$", "$$")
