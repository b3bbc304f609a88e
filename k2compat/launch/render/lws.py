"""A plan for Kubernetes: a LeaderWorkerSet for each group of nodes, and a Service. Pure.

Every worker of a set runs one template, so its rank comes from LWS_WORKER_INDEX, which the
set's controller gives it (https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import PurePosixPath
from typing import Any

from k2compat.errors import RefusedError
from k2compat.launch.plan import Command, Plan
from k2compat.launch.planning import GIVEN_TO_PODS, LEADER, START_RANK, set_name
from k2compat.launch.render.health import Health, entrances, health_of
from k2compat.launch.render.script import Script
from k2compat.launch.render.shell import node_script
from k2compat.launch.render.shell_words import open_names
from k2compat.launch.render.yaml_text import as_yaml
from k2compat.launch.request import Argument, Node

_SHARED_MEMORY = "64Gi"

# Dollars that do not stay as they are: before a parenthesis, another dollar, or no ASCII.
_EXPANDED = re.compile(r"\$(?=[$(]|[^\x00-\x7f])")


def as_leader_worker_sets(plan: Plan) -> Mapping[str, Script]:
    """One file for `kubectl apply -f`."""
    sets = [_set(plan, group) for group in plan.cluster.groups]
    services = [_service(each) for each in entrances(plan) if not each.port.placeholders]
    names = [name for name in open_names(plan.commands) if name not in GIVEN_TO_PODS]
    comments = ["kubectl apply -f launch-lws.yaml, with the LeaderWorkerSet controller installed"]
    if names:
        comments.append(f"Fill in the values of: {', '.join(names)}")
    comments += [
        f"Mount, in every pod: {mount.source}" for mount in plan.mounts if mount.source.placeholders
    ]
    return {"launch-lws.yaml": Script(as_yaml(*sets, *services, comments=comments))}


def _set(plan: Plan, group: str) -> dict[str, Any]:
    name = set_name(group)
    leader, *workers = plan.cluster.group(group)
    template: dict[str, Any] = {
        "size": plan.cluster.size(group),
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": _pod(plan, leader, {"app": name, "role": LEADER}),
    }
    # A set of one node has a template of workers, too: the field is required.
    template["workerTemplate"] = _pod(plan, workers[0] if workers else leader, {"app": name})
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name},
        "spec": {"replicas": 1, "leaderWorkerTemplate": template},
    }


def _pod(plan: Plan, node: Node, labels: Mapping[str, str]) -> dict[str, Any]:
    commands = [command for command in plan.commands if command.node == node]
    resource = "amd.com/gpu" if plan.amd else "nvidia.com/gpu"
    container: dict[str, Any] = {
        "name": plan.engine,
        "image": str(plan.image) if plan.image else "<IMAGE>",
        "command": ["bash", "-c", _literal(_script(plan, node))],
        "env": _environment(commands),
        "resources": {"limits": {resource: str(plan.cluster.gpus_per_node)}},
        "securityContext": _security(plan),
        "volumeMounts": [{"name": "shared-memory", "mountPath": "/dev/shm"}],  # noqa: S108
    }
    health = health_of(plan, node)
    if health is not None:
        container |= health.probe
    ports = [port.number for command in commands for port in command.ports]
    numbers = dict.fromkeys(int(str(number)) for number in ports if not number.placeholders)
    if numbers:  # without names: those of one container may not be equal
        container["ports"] = [{"containerPort": number} for number in numbers]
    volumes: list[dict[str, Any]] = [
        {
            "name": "shared-memory",
            "emptyDir": {"medium": "Memory", "sizeLimit": _SHARED_MEMORY},
        }
    ]
    mounts = [mount for mount in plan.mounts if not mount.source.placeholders]
    for name, mount in zip(_volume_names(), mounts, strict=False):
        container["volumeMounts"].append(
            {"name": name, "mountPath": _mountable(mount.target), "readOnly": True}
        )
        folder = {"path": _mountable(mount.source), "type": "Directory"}
        volumes.append({"name": name, "hostPath": folder})
    return {
        "metadata": {"labels": dict(labels)},
        "spec": {
            **({"hostIPC": True} if plan.amd else {}),
            "containers": [container],
            "volumes": volumes,
        },
    }


def _security(plan: Plan) -> dict[str, Any]:
    """The container's permissions; for AMD's GPUs those of vLLM's page on Kubernetes.

    https://docs.vllm.ai/en/stable/deployment/k8s/
    """
    if not plan.amd:
        return {"capabilities": {"add": ["IPC_LOCK"]}}
    return {
        "seccompProfile": {"type": "Unconfined"},
        "runAsGroup": 44,  # "video" of Debian and Ubuntu, whose the devices are
        "capabilities": {"add": ["IPC_LOCK", "SYS_PTRACE"]},
    }


def _script(plan: Plan, node: Node) -> str:
    return node_script(plan, node, reports=False, before=_before(plan, node))


def _literal(text: str) -> str:
    """Text that Kubernetes passes to a container unchanged.

    It replaces $(NAME) and makes one dollar of two, and treats what follows another dollar as a
    single byte (k8s.io/kubernetes third_party/forked/golang/expansion).
    """
    return _EXPANDED.sub("$$", text)


def _mountable(path: Argument) -> str:
    """A folder that Kubernetes can mount.

    Raises:
        RefusedError: mount-malformed, for a colon or a part "..", which its API refuses.
    """
    text = str(path)
    if ":" in text or ".." in PurePosixPath(text).parts:
        raise RefusedError(
            "mount-malformed",
            f"{text} cannot be mounted by Kubernetes, which takes no colon and no part '..'.",
            hint="Name the folder by another path, for example through a link.",
        )
    return text


def _before(plan: Plan, node: Node) -> str:
    """The first data-parallel rank of a worker, from its place in the set, where it is used."""
    commands = [command for command in plan.commands if command.node == node]
    if START_RANK not in open_names(commands):
        return ""
    local = plan.layouts[node.group].data_parallel // plan.cluster.size(node.group)
    return f"export {START_RANK}=$((LWS_WORKER_INDEX * {local}))"


def _environment(commands: Sequence[Command]) -> list[dict[str, Any]]:
    by_field = {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    names = [name for name in open_names(commands) if name not in GIVEN_TO_PODS]
    return [{"name": "POD_IP", **by_field}, *({"name": name, "value": ""} for name in names)]


def _volume_names() -> Iterator[str]:
    yield "model"
    yield from (f"folder{number}" for number in count(1))


def _service(entrance: Health) -> dict[str, Any]:
    command, number = entrance.command, int(str(entrance.port))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{set_name('')}-{command.role}"},
        "spec": {
            "selector": {"app": set_name(command.node.group), "role": LEADER},
            "ports": [{"name": "http", "port": number, "targetPort": number}],
        },
    }
