"""`--set flag=value`: a user's own flags, checked and rendered."""

from collections.abc import Iterable, Iterator, Sequence

from k2compat.errors import RefusedError
from k2compat.findings import Finding, Severity
from k2compat.launch.engines import size_flag
from k2compat.launch.flags.check import change_of, check_reading
from k2compat.launch.flags.command_line import FlagUse, ParsedCommand, read_arguments
from k2compat.launch.flags.history import FATAL, Change
from k2compat.launch.flags.loading import flag_table
from k2compat.launch.flags.table import Abbreviated, Exact, Flag, FlagTable
from k2compat.printable import counted

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


def passed_through(
    engine: str, version: str, entry: str, settings: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """The arguments for a user's `--set` options.

    Args:
        engine: vllm, sglang, ktransformers or trtllm.
        version: The engine's version, or a table's name.
        entry: The entry point, such as "serve".
        settings: Each "flag=value" or "flag", with or without its dashes. A flag that takes
            several values, or is repeatable, may be set several times.

    Returns:
        One tuple a flag, in the order of first mention: the name it has at that version, then
        its values, each one argument. A flag without a value is set by "flag", "flag=true" or
        the name that says no; "flag=false" gives the name that says no, where there is one. A
        value with a dash at its front is joined: `--flag=-x`.

    Raises:
        RefusedError: engine-unknown, engine-version-invalid, entry-unknown; setting-refused: no
            such flag (the hint names the nearest), gone without a successor, a value that the
            parser would refuse, or set twice where one value counts.
    """
    return settings_as_arguments(flag_table(engine, version, entry), settings)


def settings_as_arguments(table: FlagTable, settings: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """`passed_through` for an entry point's table."""
    rendered: list[tuple[str, ...]] = []
    for name, values in _by_flag(table, settings).items():
        for arguments in _rendered(table, name, values):
            _judge(table, arguments)
            rendered.append(arguments)
    return tuple(rendered)


def _by_flag(table: FlagTable, settings: Sequence[str]) -> dict[str, list[str | None]]:
    """The values of each flag; spellings of one flag are one."""
    values: dict[str, list[str | None]] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not name.strip("-"):
            raise _refused(f"{setting!r} names no flag.", "Write --set flag=value.")
        spelled = _as_a_size(table, _spelled(name))
        resolution = table.resolve(spelled)
        if isinstance(resolution, Abbreviated):
            raise _refused(
                f"{name!r} is no flag of {table.entry}.", f"Did you mean {resolution.full_name}?"
            )
        key = spelled
        if isinstance(resolution, Exact) and not resolution.member:
            key = spelled if spelled in resolution.flag.negative_names else resolution.flag.name
        values.setdefault(key, []).append(value if equals else None)
    return values


def with_proposed(
    table: FlagTable, settings: Sequence[str], proposed: Sequence[str]
) -> tuple[str, ...]:
    """Proposed settings in front of the user's, without those that the user sets otherwise."""
    own = set(_by_flag(table, settings))
    kept = (each for each in proposed if own.isdisjoint(_by_flag(table, [each])))
    return (*kept, *settings)


def _spelled(name: str) -> str:
    if name.startswith("-"):
        return name
    return f"--{name}" if len(name) > 1 else f"-{name}"


def _as_a_size(table: FlagTable, name: str) -> str:
    """The engine's own flag for a size that is asked for under another engine's name."""
    if isinstance(table.resolve(name), Exact):
        return name
    own = size_flag(table.engine, name)
    return own if own and isinstance(table.resolve(own), Exact) else name


def _rendered(table: FlagTable, name: str, values: list[str | None]) -> Iterator[tuple[str, ...]]:
    resolution = table.resolve(name)
    given = tuple(value for value in values if value is not None)
    use = FlagUse(name, resolution, given, joined=False, at=0)
    change = change_of(table, use, {name: given})
    if change is not None and change.kind in FATAL and not change.unless:
        yield from _under_new_name(table, use, change)
        return
    if not isinstance(resolution, Exact):
        nearest = table.nearest(name)
        hint = (
            f"Did you mean {nearest}?"
            if nearest
            else "Check the spelling; the program's own --help lists its flags."
        )
        raise _refused(f"{table.entry} of {table.engine} {table.version} has no {name}.", hint)
    flag = resolution.flag
    if not flag.takes_value:
        yield (_switch(name, flag, values),)
    elif len(given) < len(values):
        raise _refused(f"{name} takes a value.", f"Write --set {name.lstrip('-')}=VALUE.")
    elif flag.repeatable and flag.max_values == 1:
        yield from (_with_values(name, (value,)) for value in given)
    elif len(given) > 1 and flag.max_values == 1:
        raise _refused(
            f"{name} is set {counted(len(given), 'time')}.", "Set it once: one value counts."
        )
    else:
        yield _with_values(name, given)


def _under_new_name(table: FlagTable, use: FlagUse, change: Change) -> Iterator[tuple[str, ...]]:
    arguments = change.arguments(use.name, use.values)
    if not arguments:
        lost = "It does nothing any more" if arguments == () else "No successor is known"
        raise _refused(
            f"{use.name} is gone from {table.entry} of {table.engine} {table.version}.",
            f"{lost}: {change.reason}",
        )
    reading = read_arguments(table, arguments)
    yield from ((new.name, *new.values) for new in reading.uses)


def _switch(name: str, flag: Flag, values: list[str | None]) -> str:
    if len(values) > 1:
        raise _refused(f"{name} is set {counted(len(values), 'time')}.", "Set it once.")
    value = (values[0] or "true").lower()
    if value not in _YES | _NO:
        raise _refused(
            f"{name} takes no value, but true or false is understood.",
            f"Write --set {name.lstrip('-')}.",
        )
    says_no = (name in flag.negative_names) == (value in _YES)
    if not says_no:
        return next(spelling for spelling in flag.names if spelling not in flag.negative_names)
    if not flag.negative_names:
        raise _refused(
            f"{name} can only be switched on.", "Leave it out; the plan does not set it for you."
        )
    return flag.negative_names[0]


def _with_values(name: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if any(value.startswith("-") for value in values):
        if len(values) > 1:
            raise _refused(
                f"A value of {name} begins with a dash.", "The parser would take it for a flag."
            )
        return (f"{name}={values[0]}",)
    return (name, *values)


def _judge(table: FlagTable, arguments: tuple[str, ...]) -> None:
    reading = read_arguments(table, arguments)
    for finding in _errors(check_reading(ParsedCommand(table, reading.uses, ()))):
        # The rest of the command line decides these; the whole is checked later.
        if finding.code not in ("flag-missing", "flag-refused"):
            expected = f"Expected: {finding.expected}." if finding.expected else ""
            raise _refused(finding.message, finding.fix or expected or "Leave it out.")


def _errors(findings: Iterable[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if finding.severity is Severity.ERROR)


def _refused(message: str, hint: str) -> RefusedError:
    return RefusedError("setting-refused", message, hint=hint)
