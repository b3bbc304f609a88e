"""The request of a user: engine, model, cluster, values."""

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
        groups_at,
        host_port,
        nodes_at,
        read_cluster,
        role_of,
        with_devices,
    )
    from k2compat.launch.request.draft import EAGLE3, MTP, Draft, check_draft, read_draft
    from k2compat.launch.request.facts import FACTS, FORMAT, GPU, SCRIPTED, SUPERVISED, is_fact
    from k2compat.launch.request.model import LaunchModel, facts_of_name, read_model
    from k2compat.launch.request.request import Request
    from k2compat.launch.request.template_values import (
        START_RANK,
        NodeTerms,
        node_terms,
        request_facts,
        shared_values,
    )

__all__ = [
    "ALWAYS_SET",
    "EAGLE3",
    "FACTS",
    "FILES",
    "FORMAT",
    "GPU",
    "GPUS_MAX",
    "GPUS_PER_NODE",
    "MTP",
    "PLACEHOLDER",
    "SCRIPTED",
    "START_RANK",
    "SUPERVISED",
    "Argument",
    "Cluster",
    "Draft",
    "LaunchModel",
    "Node",
    "NodeTerms",
    "Placeholder",
    "Request",
    "check_draft",
    "facts_of_name",
    "groups_at",
    "host_port",
    "is_fact",
    "node_terms",
    "nodes_at",
    "port",
    "read_cluster",
    "read_draft",
    "read_model",
    "request_facts",
    "role_of",
    "shared_values",
    "user_value",
    "with_devices",
]

_HOMES = {
    "ALWAYS_SET": "arguments",
    "Argument": "arguments",
    "Cluster": "cluster",
    "Draft": "draft",
    "EAGLE3": "draft",
    "FACTS": "facts",
    "MTP": "draft",
    "FILES": "arguments",
    "FORMAT": "facts",
    "GPU": "facts",
    "GPUS_MAX": "cluster",
    "GPUS_PER_NODE": "cluster",
    "LaunchModel": "model",
    "Node": "cluster",
    "NodeTerms": "template_values",
    "PLACEHOLDER": "arguments",
    "Placeholder": "arguments",
    "Request": "request",
    "START_RANK": "template_values",
    "SCRIPTED": "facts",
    "SUPERVISED": "facts",
    "check_draft": "draft",
    "groups_at": "cluster",
    "host_port": "cluster",
    "is_fact": "facts",
    "node_terms": "template_values",
    "nodes_at": "cluster",
    "port": "arguments",
    "read_cluster": "cluster",
    "facts_of_name": "model",
    "read_draft": "draft",
    "read_model": "model",
    "request_facts": "template_values",
    "role_of": "cluster",
    "shared_values": "template_values",
    "user_value": "arguments",
    "with_devices": "cluster",
}

__getattr__ = lazy_names(__name__, _HOMES)
