"""Launching a model: a request becomes a plan, which is shown, checked or run.

    from k2compat.launch import Request, plan_launch, read_model, render_plan

    plan = plan_launch(Request(engine="vllm", model=read_model("moonshotai/Kimi-K2-Instruct")))
    render_plan(plan, "sh")

Other rooms import only these names of launch; `k2compat.launch.flags` is public, too. Each name is
loaded when it is first used.
"""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.launch.engines import PROFILES, STRATEGIES, engine_names
    from k2compat.launch.flags import engine_aliases
    from k2compat.launch.memory import explain_fit, gpu_names, model_sizes
    from k2compat.launch.modernize import (
        ModernCommand,
        Modernized,
        check_read_command,
        modernize_text,
    )
    from k2compat.launch.plan import Command, Plan
    from k2compat.launch.planning import (
        check_plan,
        fits_of,
        for_format,
        plan_launch,
        refusal_of,
        unused_options,
    )
    from k2compat.launch.preflight import (
        Inspection,
        NodeFacts,
        NodeReport,
        Preflight,
        check_plan_installed,
        compare_reports,
        listen_on,
        node_of,
        plan_parts,
        ports_here,
        preflight_plan,
        probe_others,
        resolve_plan,
    )
    from k2compat.launch.render import FORMATS, Script, as_document, render_plan
    from k2compat.launch.request import (
        GPUS_MAX,
        GPUS_PER_NODE,
        Argument,
        Cluster,
        LaunchModel,
        Node,
        Request,
        groups_at,
        nodes_at,
        port,
        read_cluster,
        read_draft,
        read_model,
        user_value,
        with_devices,
    )
    from k2compat.launch.run import become_node

__all__ = [
    "FORMATS",
    "GPUS_MAX",
    "GPUS_PER_NODE",
    "PROFILES",
    "STRATEGIES",
    "Argument",
    "Cluster",
    "Command",
    "Inspection",
    "LaunchModel",
    "ModernCommand",
    "Modernized",
    "Node",
    "NodeFacts",
    "NodeReport",
    "Plan",
    "Preflight",
    "Request",
    "Script",
    "as_document",
    "become_node",
    "check_plan",
    "check_plan_installed",
    "check_read_command",
    "compare_reports",
    "engine_aliases",
    "engine_names",
    "explain_fit",
    "fits_of",
    "for_format",
    "gpu_names",
    "groups_at",
    "listen_on",
    "model_sizes",
    "modernize_text",
    "node_of",
    "nodes_at",
    "plan_launch",
    "plan_parts",
    "port",
    "ports_here",
    "preflight_plan",
    "probe_others",
    "read_cluster",
    "read_draft",
    "read_model",
    "refusal_of",
    "render_plan",
    "resolve_plan",
    "unused_options",
    "user_value",
    "with_devices",
]

_HOMES = {
    "Argument": "request",
    "Cluster": "request",
    "Command": "plan",
    "FORMATS": "render",
    "GPUS_MAX": "request",
    "GPUS_PER_NODE": "request",
    "Inspection": "preflight",
    "LaunchModel": "request",
    "ModernCommand": "modernize",
    "Modernized": "modernize",
    "Node": "request",
    "NodeFacts": "preflight",
    "NodeReport": "preflight",
    "PROFILES": "engines",
    "Plan": "plan",
    "Preflight": "preflight",
    "Request": "request",
    "STRATEGIES": "engines",
    "Script": "render",
    "as_document": "render",
    "become_node": "run",
    "check_plan": "planning",
    "check_plan_installed": "preflight",
    "check_read_command": "modernize",
    "compare_reports": "preflight",
    "engine_aliases": "flags",
    "engine_names": "engines",
    "explain_fit": "memory",
    "fits_of": "planning",
    "gpu_names": "memory",
    "groups_at": "request",
    "for_format": "planning",
    "model_sizes": "memory",
    "modernize_text": "modernize",
    "node_of": "preflight",
    "nodes_at": "request",
    "plan_launch": "planning",
    "plan_parts": "preflight",
    "port": "request",
    "listen_on": "preflight",
    "ports_here": "preflight",
    "probe_others": "preflight",
    "preflight_plan": "preflight",
    "read_cluster": "request",
    "read_draft": "request",
    "read_model": "request",
    "refusal_of": "planning",
    "render_plan": "render",
    "resolve_plan": "preflight",
    "unused_options": "planning",
    "user_value": "request",
    "with_devices": "request",
}

__getattr__ = lazy_names(__name__, _HOMES)
