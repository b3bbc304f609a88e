"""What a user asks of a launch: engine, model, cluster, values."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.launch.request.arguments import (
        ALWAYS_SET,
        FILES,
        PLACEHOLDER,
        Argument,
        Placeholder,
        port,
        user_value,
    )
    from k2compat.launch.request.cluster import (
        GPUS_MAX,
        GPUS_PER_NODE,
        Cluster,
        Node,
        host_port,
        nodes_at,
        read_cluster,
        with_devices,
    )
    from k2compat.launch.request.facts import FORMAT, SUPERVISED, is_fact
    from k2compat.launch.request.model import LaunchModel, read_model
    from k2compat.launch.request.request import Request

__all__ = [
    "ALWAYS_SET",
    "FILES",
    "FORMAT",
    "GPUS_MAX",
    "GPUS_PER_NODE",
    "PLACEHOLDER",
    "SUPERVISED",
    "Argument",
    "Cluster",
    "LaunchModel",
    "Node",
    "Placeholder",
    "Request",
    "host_port",
    "is_fact",
    "nodes_at",
    "port",
    "read_cluster",
    "read_model",
    "user_value",
    "with_devices",
]

_HOMES = {
    "ALWAYS_SET": "arguments",
    "Argument": "arguments",
    "Cluster": "cluster",
    "FILES": "arguments",
    "FORMAT": "facts",
    "GPUS_MAX": "cluster",
    "GPUS_PER_NODE": "cluster",
    "LaunchModel": "model",
    "Node": "cluster",
    "PLACEHOLDER": "arguments",
    "Placeholder": "arguments",
    "Request": "request",
    "SUPERVISED": "facts",
    "host_port": "cluster",
    "is_fact": "facts",
    "nodes_at": "cluster",
    "port": "arguments",
    "read_cluster": "cluster",
    "read_model": "model",
    "user_value": "arguments",
    "with_devices": "cluster",
}

__getattr__ = lazy_names(__name__, _HOMES)
