"""Comparison of the preflight reports of several nodes: values that must be the same. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from k2compat.errors import RefusedError
from k2compat.family import CONFIG_FILE
from k2compat.findings import Codes, Finding, Severity
from k2compat.printable import counted
from k2compat.shell_line import shell_line

SCHEMA: Final = "k2compat.preflight/1"

# Reports made at the same time, as by one srun, differ by at most this. If the clocks of nodes
# differ more, the engines' and Ray's time-outs fail, and the times in their logs do not match.
CLOCK_SECONDS: Final = 30.0

_codes = Codes("launch")


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The values of one node's report that must be the same on all nodes.

    Attributes:
        node: The node's name in the plan.
        file: Where the report was read.
        engine: The plan's engine, version, profile and strategy.
        plan: Part of the plan → its value: nodes, GPUs a node, and the words of each command.
        errors: The codes of the errors that the report holds.
        gpus: GPU model → number; None where the driver lists none.
        mtus: Bytes of the largest packets on the interfaces towards other nodes.
        packages: Distribution → version; None where it was not known.
        digests: Small file of the model → SHA-256; None where the model is only a name.
        weights: Weight file → bytes; None likewise.
        clock: When it was made, in seconds since 1970.
    """

    node: str
    file: str
    engine: tuple[str, ...]
    plan: Mapping[str, str]
    errors: tuple[str, ...]
    gpus: Mapping[str, int] | None
    mtus: frozenset[int]
    packages: Mapping[str, str] | None
    digests: Mapping[str, str] | None
    weights: Mapping[str, int] | None
    clock: float

    @classmethod
    def read(cls, document: Any, file: str) -> Self:
        """A report from its JSON document.

        Raises:
            RefusedError: report-malformed.
        """
        try:
            facts = {SCHEMA: document["facts"]}[document["schema"]]
            model = facts["model"] or {}
            return cls(
                node=str(document["node"]),
                file=file,
                engine=tuple(
                    str(document[key])
                    for key in ("engine", "engine_version", "profile", "strategy")
                ),
                plan=_mapping(document["plan"], str) or {},
                errors=tuple(
                    str(each["code"])
                    for each in document["findings"]
                    if each["severity"] == Severity.ERROR
                ),
                gpus=None if facts["gpus"] is None else Counter(map(str, facts["gpus"])),
                mtus=frozenset(
                    int(route["mtu"])
                    for route in facts["routes"].values()
                    if route["address"] != route["source"]
                ),
                packages=_mapping(facts["packages"], str),
                digests=_mapping(model.get("digests"), str),
                weights=_mapping(model.get("weights"), int),
                clock=float(facts["clock"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RefusedError(
                "report-malformed",
                f"{file} is no preflight report of one node.",
                hint="Make one on each node: k2compat preflight … --node-rank N --json > FILE",
            ) from error


def compare_reports(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    """Find what differs between nodes.

    Args:
        reports: Of different nodes of one plan.
    """
    yield from _check_plan(reports)
    yield from _check_errors(reports)
    yield from _check_network_and_gpus(reports)
    yield from _check_packages(reports)
    yield from _check_files(reports)
    yield from _check_weights(reports)
    yield from _check_clocks(reports)


def _mapping(value: Any, kind: type) -> dict[str, Any] | None:
    return None if value is None else {str(key): kind(each) for key, each in value.items()}


def _check_plan(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for report in reports:
        if report.node in seen:
            yield _codes.finding(
                "report-twice",
                report.file,
                f"{seen[report.node]} and {report.file} are both of {report.node}.",
                fix="Give each node its own --node-rank.",
            )
        seen.setdefault(report.node, report.file)
    plans = {report.node: " ".join(report.engine) for report in reports}
    yield from _differing("plans-differ", "the plan", plans, "The nodes follow different plans")
    # A port that differs is in the commands of every node: one finding names them all.
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for part in sorted({part for report in reports for part in report.plan}):
        values = {report.node: report.plan.get(part, "none") for report in reports}
        alike.setdefault(tuple(_unlike_words(values).items()), []).append(part)
    for found, parts in alike.items():
        message = "The nodes follow different plans"
        yield from _differing("plans-differ", ", ".join(parts), dict(found), message)


def _unlike_words(values: Mapping[str, str]) -> Mapping[str, str]:
    """The words that not all of some commands have: whole commands are too long to read."""
    words = {node: value.split(" ") for node, value in values.items()}
    common = set.intersection(*map(set, words.values()))
    return {node: " ".join(w for w in own if w not in common) or "-" for node, own in words.items()}


def _check_errors(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    for report in reports:
        if report.errors:
            yield _codes.finding(
                "report-holds-errors",
                report.node,
                f"The report of {report.node} holds errors: "
                f"{', '.join(dict.fromkeys(report.errors))}.",
                count=len(report.errors),
                fix=f"Read {shell_line(report.file)}",
            )


def _check_network_and_gpus(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    gpus = {report.node: _listed_gpus(report.gpus) for report in reports}
    yield from _differing("gpus-differ", "GPUs", gpus, "The GPUs differ between nodes")
    mtus = {
        report.node: ", ".join(map(str, sorted(report.mtus))) for report in reports if report.mtus
    }
    yield from _differing("mtu-differs", "MTU", mtus, "The largest packets differ between nodes")


def _listed_gpus(gpus: Mapping[str, int] | None) -> str:
    if gpus is None:
        return "no driver"
    return ", ".join(f"{count} × {name}" for name, count in sorted(gpus.items())) or "none"


def _check_packages(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    known = {report.node: report.packages for report in reports if report.packages is not None}
    for name in sorted({name for packages in known.values() for name in packages}):
        versions = {node: packages.get(name, "none") for node, packages in known.items()}
        yield from _differing("versions-differ", name, versions, f"{name} differs between nodes")


def _check_files(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    known = {report.node: report.digests for report in reports if report.digests is not None}
    for name in sorted({name for digests in known.values() for name in digests}):
        found = {node: _short(digests.get(name)) for node, digests in known.items()}
        code = "config-differs" if name == CONFIG_FILE else "files-differ"
        yield from _differing(code, name, found, f"{name} differs between nodes")


def _check_weights(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    """Make one finding for all shards: a stopped download leaves dozens of them different."""
    known = {report.node: report.weights for report in reports if report.weights is not None}
    names = sorted({name for weights in known.values() for name in weights})
    differing = [
        name for name in names if len({weights.get(name) for weights in known.values()}) > 1
    ]
    if differing:
        counts = "; ".join(
            f"{node}: {counted(len(weights), 'file')}, {counted(sum(weights.values()), 'byte')}"
            for node, weights in known.items()
        )
        shown = ", ".join(differing[:3]) + (" …" if len(differing) > 3 else "")
        yield _codes.finding(
            "shards-differ",
            shown,
            f"Missing on a node, or of another size: {counted(len(differing), 'weight file')}.",
            count=len(differing),
            actual=counts,
            fix="Run k2compat validate MODEL on each node; then fetch again what is missing.",
        )


def _check_clocks(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    clocks = sorted((report.clock, report.node) for report in reports)
    if len(clocks) < 2:
        return
    (first, early), (last, late) = clocks[0], clocks[-1]
    if last - first > CLOCK_SECONDS:
        yield _codes.finding(
            "clocks-differ",
            late,
            f"The reports of {early} and {late} are {last - first:,.0f} s apart by their nodes' "
            "clocks.",
            expected=f"at most {CLOCK_SECONDS:g} s, from nodes that reported at once",
            actual=f"{last - first:,.0f} s",
            fix="Run timedatectl status on both; srun makes the reports of all nodes at once.",
        )


def _differing(code: str, where: str, found: Mapping[str, str], message: str) -> Iterator[Finding]:
    values = sorted(set(found.values()))
    if len(values) > 1:
        by_value = (
            f"{value}: {', '.join(node for node, each in found.items() if each == value)}"
            for value in values
        )
        yield _codes.finding(code, where, f"{message}.", actual="; ".join(by_value))


def _short(digest: str | None) -> str:
    return "none" if digest is None else f"sha256:{digest[:12]}"
