"""Findings: what is wrong or worth knowing, as values; and the catalogue of codes.

Each room keeps its codes and their explanations as data in a `codes.toml` beside
its code (modules without a room share `k2compat/codes.toml`):

    [shard-truncated]
    severity = "error"          # error | warning | info
    summary = "one line"
    cause = "why it happens"
    cure = "what to do"

All of them together are the catalogue, which `k2compat explain` and the findings
page of the docs read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from k2compat.errors import RefusedError
from k2compat.shell_line import Word, shell_line, shell_lines

_PACKAGE = Path(__file__).parent
_CODES = "codes.toml"


Fix = str | tuple[Word, ...] | list[tuple[Word, ...]]
"""What to do: advice in words, one command as its words, or a list of such commands.

Commands are words, never text: only then can each be quoted, whatever a path contains.
"""


class Severity(StrEnum):
    """How bad a finding is, worst first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Attributes:
        code: Stable, readable name, a key of the catalogue.
        severity: An error makes the command exit with 1.
        where: The place: a path, a tensor, a flag.
        message: One sentence for a person.
        count: How many single things this finding stands for.
        expected: What should be there, where that can be said.
        actual: What is there instead.
        fix: What to do: advice, or a line for a shell, quoted.
        items: The single things, where it stands for many; only JSON documents show them.
        because: The code of the finding that this one follows from; None for a cause.
    """

    code: str
    severity: Severity
    where: str
    message: str
    count: int = 1
    expected: str | None = None
    actual: str | None = None
    fix: str | None = None
    items: tuple[str, ...] = ()
    because: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The finding as a JSON document holds it; its last two members only where given."""
        members = asdict(self)
        if not self.items:
            del members["items"]
        if self.because is None:
            del members["because"]
        return members


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one command, worst first, otherwise in the order they were found."""

    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        """Sort by severity; the sort is stable."""
        worst_first = sorted(
            self.findings, key=lambda finding: list(Severity).index(finding.severity)
        )
        object.__setattr__(self, "findings", tuple(worst_first))

    def __iter__(self) -> Iterator[Finding]:
        """Iterate over the findings, worst first."""
        return iter(self.findings)

    @property
    def has_errors(self) -> bool:
        """Whether at least one finding is of severity error."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


class Explanation(NamedTuple):
    """A code's entry in the catalogue. `room` is the folder whose data names it."""

    code: str
    room: str
    severity: Severity
    summary: str
    cause: str
    cure: str


class Codes:
    """The codes of one room, read from its `codes.toml` when the first is used."""

    def __init__(self, room: str) -> None:
        """Take the room's folder name; "" is the package itself."""
        self._room = room

    def finding(
        self,
        code: str,
        where: object,
        message: str,
        *,
        count: int = 1,
        expected: str | None = None,
        actual: str | None = None,
        fix: Fix | None = None,
        items: tuple[str, ...] = (),
    ) -> Finding:
        """A finding whose severity is the catalogue's; a fix that is commands is quoted.

        Raises:
            KeyError: The room's `codes.toml` has no such code (a bug).
        """
        return Finding(
            code=code,
            severity=_severity(self._room, code),
            where=str(where),
            message=message,
            count=count,
            expected=expected,
            actual=actual,
            fix=_fix_text(fix),
            items=items,
        )


def _fix_text(fix: Fix | None) -> str | None:
    if isinstance(fix, tuple):
        return shell_line(*fix)
    if isinstance(fix, list):
        return shell_lines(fix)
    return fix


def catalogue() -> Mapping[str, Explanation]:
    """Every code of every room, by room and then as the room orders them."""
    rooms = sorted(path.parent.name for path in _PACKAGE.glob(f"*/{_CODES}"))
    return {code: entry for room in ("", *rooms) for code, entry in _read_room(room).items()}


def explanation(code: str) -> Explanation:
    """The catalogue's entry for a code.

    Raises:
        RefusedError: unknown-code; its hint names the nearest one.
    """
    from difflib import get_close_matches

    entries = catalogue()
    if code in entries:
        return entries[code]
    near = get_close_matches(code, entries, n=1)
    hint = f"k2compat explain {near[0]}" if near else "k2compat explain  (lists all codes)"
    raise RefusedError("unknown-code", f"There is no code {code!r}.", hint=hint)


@cache
def _severity(room: str, code: str) -> Severity:
    """The severity of one code.

    Its entry alone is read: all 144 of launch take 5 ms, a twentieth of a launch's time.
    """
    import tomli  # a run that finds nothing needs no catalogue

    _, header, rest = f"\n{_text(room)}".partition(f"\n[{code}]\n")
    if not header:
        raise KeyError(code)
    return Severity(tomli.loads(rest.partition("\n[")[0])["severity"])


@cache
def _text(room: str) -> str:
    return (_PACKAGE / room / _CODES).read_text(encoding="utf-8")


@cache
def _read_room(room: str) -> Mapping[str, Explanation]:
    import tomli

    return {
        code: Explanation(
            code, room, Severity(entry["severity"]), entry["summary"], entry["cause"], entry["cure"]
        )
        for code, entry in tomli.loads(_text(room)).items()
    }
