"""The checks of a plan, for a command that was read from a text."""

from collections.abc import Iterator
from math import ceil

from k2compat.findings import Codes, Finding
from k2compat.launch.engines import ParallelFlags, memory_flags_of
from k2compat.launch.flags import entry_point, flag_table, read_arguments, values_of
from k2compat.launch.memory import Layout
from k2compat.launch.modernize.modern_command import ModernCommand
from k2compat.launch.plan import Command, Plan
from k2compat.launch.planning import check_plan, layout_in
from k2compat.launch.request import GPUS_PER_NODE, Argument, Cluster, nodes_at, read_model

_codes = Codes("launch")


def check_read_command(
    command: ModernCommand, gpu: str | None = None, gpus_per_node: int = GPUS_PER_NODE
) -> tuple[Finding, ...]:
    """Whether a model can be divided as a command says, and whether it fits.

    Args:
        command: The command.
        gpu: A GPU's name, or its GiB; without one the fit is not estimated.
        gpus_per_node: GPUs of each node.

    Raises:
        RefusedError: unknown-gpu, and what reading the model's config raises.
    """
    return tuple(_checked(command, gpu, gpus_per_node))


def _checked(command: ModernCommand, gpu: str | None, gpus_per_node: int) -> Iterator[Finding]:
    parallel = memory_flags_of(command.engine).parallel
    name = _model(command)
    if parallel is None or name is None:
        missing = "its engine divides nothing by flags" if parallel is None else "no model is named"
        yield _codes.finding(
            "plan-not-checked", command.entry, f"The command was not checked as a plan: {missing}."
        )
        return
    layout = layout_in(command.engine, command.arguments)
    unread = any(finding.code == "arguments-unread" for finding in command.findings)
    if layout is None or unread:
        missing = "some of its arguments were not read" if unread else "a size is filled in later"
        yield _codes.finding(
            "plan-not-checked", command.entry, f"The command was not checked as a plan: {missing}."
        )
        return
    model = read_model(name)
    plan = _plan(command, parallel, layout, gpu, gpus_per_node)
    yield from (*model.findings, *check_plan(plan, model.config, model.loaded_bytes))


def _model(command: ModernCommand) -> str | None:
    """The model that the command names."""
    entry = entry_point(command.engine, command.entry)
    named = values_of(command.arguments, "--model", "--model-path", *filter(None, [entry.model]))
    table = flag_table(command.engine, command.engine_version, entry.table)
    loose = [each.value for each in read_arguments(table, command.arguments).loose]
    return next(iter([*named, *loose]), None)


def _plan(
    command: ModernCommand,
    parallel: ParallelFlags,
    layout: Layout,
    gpu: str | None,
    gpus_per_node: int,
) -> Plan:
    """A plan with only the fields that its checks need."""
    given = next(reversed(values_of(command.arguments, *parallel.nodes)), "")
    nodes = int(given) if given.isdecimal() else ceil(layout.world_size / gpus_per_node)
    used = min(gpus_per_node, max(1, layout.world_size // max(1, nodes)))
    cluster = Cluster(nodes_at((str(max(1, nodes)),)), used, gpu)
    server = Command(
        id="serve",
        role="serve",
        node=cluster.nodes[0],
        argv=tuple(Argument.literal(word) for word in command.arguments),
        entry=entry_point(command.engine, command.entry).table,
        stays=True,
    )
    return Plan(
        engine=command.engine,
        engine_version=command.engine_version,
        profile="default",
        strategy="tp",
        cluster=cluster,
        layouts={"": layout},
        commands=(server,),
    )
