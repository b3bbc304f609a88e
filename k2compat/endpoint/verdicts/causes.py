"""From observations to findings: one for each code, with consequences apart from their causes.

One fault of a server appears in many answers and in several ways: a call that leaks into the
content is also a missing call. Only the fault itself counts; each consequence is an info that names
its cause.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from k2compat.endpoint.checks import checks
from k2compat.endpoint.reading.answer import Observation
from k2compat.findings import Codes, Finding, Report, Severity

_ROOM = Codes("endpoint")
_PARSER = Codes("toolcalls")
_ORDER = list(Severity)
_NAMES_SHOWN = 3
_OF_THE_PARSER = frozenset(
    ("markers-stripped", "other-format", "tool-undeclared", "arguments-not-object")
)


def report_of(observations: Iterable[Observation]) -> Report:
    """All observations as a report: causes first, then consequences, each code once."""
    listed = list(observations)
    grouped: dict[tuple[str, str], list[Observation]] = {}
    for observation in listed:
        because = _cause_of(observation, listed)
        grouped.setdefault((because, observation.code), []).append(observation)
    in_order = sorted(grouped.items(), key=lambda item: bool(item[0][0]))
    return Report(tuple(_finding(because, group) for (because, _), group in in_order))


def _cause_of(observation: Observation, others: list[Observation]) -> str:
    """The code that explains the observation; "" if it is a cause itself.

    Of a chain of causes, this is the first one. It exists, since `explained_by` has no circles.
    """
    cause = observation
    while found := next((other for other in others if _explains(other, cause)), None):
        cause = found
    return "" if cause.code == observation.code else cause.code


def _explains(other: Observation, observation: Observation) -> bool:
    """Whether one observation is the cause of another.

    A cause is at least as severe as its consequence; otherwise a warning could hide an error.
    """
    check = checks()[other.code]
    if other.code not in checks()[observation.code].explained_by:
        return False
    if _ORDER.index(_severity(other.code)) > _ORDER.index(_severity(observation.code)):
        return False
    return check.everywhere or not observation.request or _is_same_case(other, observation)


def _is_same_case(one: Observation, other: Observation) -> bool:
    return _case(one.request) == _case(other.request)


def _case(request: str) -> str:
    return request.rpartition(".")[0] or request


def _finding(because: str, group: list[Observation]) -> Finding:
    first = group[0]
    names = tuple(dict.fromkeys(each.request for each in group))
    finding = _codes(first.code).finding(
        first.code,
        place_of(names),
        first.message,
        count=len(names),
        expected=first.expected,
        actual=first.actual,
        items=names,
    )
    return replace(finding, severity=Severity.INFO, because=because) if because else finding


def place_of(names: Sequence[str]) -> str:
    """The first requests by name, and how many more there are."""
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _codes(code: str) -> Codes:
    return _PARSER if code in _OF_THE_PARSER else _ROOM


@cache
def _severity(code: str) -> Severity:
    return _codes(code).finding(code, "", "").severity
