"""Finds what would stop a plan on this node, before any process is started.

plan ─▶ Question ─▶ read_node (the only effects) ─▶ NodeFacts ─┐
  └────────────────────────────────────────────────────────────┴─▶ checks ─▶ findings
reports of several nodes ─▶ compare_reports ─▶ findings

A node is read once, then judged: `NodeFacts` is a value, so the checks are tested without a node, a
report is the facts as JSON, and nodes are compared by their reports. Only the variables of a list
are read: users pass reports on, and no report may hold a key.
"""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.launch.preflight.checks import node_of
    from k2compat.launch.preflight.compare_nodes import NodeReport, compare_reports
    from k2compat.launch.preflight.connections import listen_on, ports_here, probe_others
    from k2compat.launch.preflight.engine_parser import check_plan_installed
    from k2compat.launch.preflight.facts import NodeFacts
    from k2compat.launch.preflight.inspection import Inspection, plan_parts
    from k2compat.launch.preflight.preflight import Preflight, preflight_plan
    from k2compat.launch.preflight.resolving import resolve_plan

__all__ = [
    "Inspection",
    "NodeFacts",
    "NodeReport",
    "Preflight",
    "check_plan_installed",
    "compare_reports",
    "listen_on",
    "node_of",
    "plan_parts",
    "ports_here",
    "preflight_plan",
    "probe_others",
    "resolve_plan",
]

_HOMES = {
    "Preflight": "preflight",
    "Inspection": "inspection",
    "NodeFacts": "facts",
    "NodeReport": "compare_nodes",
    "check_plan_installed": "engine_parser",
    "compare_reports": "compare_nodes",
    "node_of": "checks",
    "plan_parts": "inspection",
    "listen_on": "connections",
    "ports_here": "connections",
    "probe_others": "connections",
    "preflight_plan": "preflight",
    "resolve_plan": "resolving",
}

__getattr__ = lazy_names(__name__, _HOMES)
