"""Things that a command lacks: nodes for its GPUs, and the flags for Kimi-K2's tool calls."""

from collections.abc import Iterator, Sequence

from k2compat.findings import Codes, Finding
from k2compat.launch.engines import memory_flags_of
from k2compat.launch.flags import EngineRelease, has_word, programs_of, values_of
from k2compat.launch.planning import layout_in
from k2compat.printable import counted

_codes = Codes("launch")


def check_world(
    release: EngineRelease, words: Sequence[str], before: Sequence[str], gpus_per_node: int
) -> Iterator[Finding]:
    """Find a server that asks for more GPUs than its nodes have.

    Sizes that are filled in later are not judged, nor engines that join nodes in another way.

    Args:
        release: The engine's release.
        words: The arguments.
        before: The words before the program: assignments, and programs such as mpirun.
        gpus_per_node: GPUs of each node.
    """
    ways = programs_of(release.engine).several_nodes_by
    parallel, layout = memory_flags_of(release.engine).parallel, layout_in(release.engine, words)
    if not ways or parallel is None or layout is None:
        return
    names = {word.rpartition("/")[2] for word in before}
    given = next(reversed(values_of(words, *parallel.nodes)), "1") if parallel.nodes else "1"
    joined = names.intersection(ways) or any(has_word(words, way) for way in ways)
    if (joined and not parallel.nodes) or not given.isdecimal():
        return
    gpus = int(given) * gpus_per_node
    if layout.world_size > gpus:
        yield _codes.finding(
            "world-exceeds-nodes",
            str(layout),
            f"{layout} takes {counted(layout.world_size, 'GPU')}; {given} × {gpus_per_node} are "
            f"{gpus}, and more nodes are joined by {', '.join(ways)}.",
            expected=f"at most {counted(gpus, 'GPU')}",
            actual=str(layout.world_size),
            fix="Name the nodes, or give the node's GPUs: --gpus-per-node N.",
        )


def check_expected(release: EngineRelease, table: str, words: Sequence[str]) -> Iterator[Finding]:
    """Find that flags are missing which the model's tool calls need."""
    text = " ".join(words).lower()
    for row in programs_of(release.engine).expected:
        read_elsewhere = has_word(words, "--config")
        there = any(has_word(words, name) for name in row.any_of)
        if row.entry == table and row.model in text and not there and not read_elsewhere:
            yield _codes.finding(
                "tool-calls-off",
                row.any_of[0],
                f"The command has no {' or '.join(row.any_of)}. {row.reason}",
                expected=" ".join(row.add),
                fix=f"Where tools are used, add {' '.join(row.add)}.",
            )
