"""Whether an engine's parser accepts a command line: all faults at once, as findings."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from k2compat.findings import Codes, Finding
from k2compat.launch.flags.command_line import (
    FlagUse,
    ParsedCommand,
    has_placeholder,
    read_arguments,
)
from k2compat.launch.flags.history import FATAL, Change
from k2compat.launch.flags.loading import flag_table
from k2compat.launch.flags.table import Abbreviated, Ambiguous, Flag, FlagTable, Unknown
from k2compat.launch.request import GPUS_PER_NODE
from k2compat.printable import counted
from k2compat.shell_line import shell_line

_codes = Codes("launch")

# vLLM's human-readable numbers: 8192, 8k, 25.6k, 8K; a decimal needs a small letter.
_SIZE: Final = re.compile(r"-?\d+|\d+[kKmMgGtT]|\d+\.\d+[kmgt]|auto")

# Faults of a value, not of the flag.
_OF_VALUES: Final = frozenset({"flag-choice", "flag-value"})

_CODES: Final = {
    "renamed": "flag-renamed",
    "replaced": "flag-renamed",
    "removed": "flag-removed",
    "refused": "flag-refused",
    "deprecated": "flag-deprecated",
    "meaning-changed": "flag-meaning-changed",
}


def check_arguments(
    engine: str, version: str, entry: str, arguments: Sequence[str]
) -> tuple[Finding, ...]:
    """The arguments that an entry point would refuse, or read in another way than intended.

    Args:
        engine: vllm, sglang, ktransformers or trtllm.
        version: The engine's version, or a table's name.
        entry: The entry point, such as "serve".
        arguments: The words after the program and its subcommand, one argument each.

    Returns:
        The findings in the order of the arguments; none of severity error means that the parser
        takes the line. A value that holds a placeholder (`$PORT`, `<HOST>`) is not judged.

    Raises:
        RefusedError: engine-unknown, engine-version-invalid, entry-unknown.
    """
    return check_reading(read_arguments(flag_table(engine, version, entry), arguments))


def check_reading(
    reading: ParsedCommand, gpus_per_node: int = GPUS_PER_NODE
) -> tuple[Finding, ...]:
    """`check_arguments` for a parsed command line.

    Args:
        reading: The command line.
        gpus_per_node: GPUs of the node on which it runs.
    """
    names = names_in(reading)
    overridden = _overridden(reading)
    findings = [
        finding
        for use in reading.uses
        for finding in _check_use(
            reading.table, use, change_of(reading.table, use, names, gpus_per_node)
        )
        if use.at not in overridden or finding.code not in _OF_VALUES
    ]
    return (*findings, *_check_repeated(reading), *_check_loose(reading), *_missing(reading))


def _overridden(reading: ParsedCommand) -> frozenset[int]:
    """The uses whose values are not read: click converts only the last use of a flag."""
    if reading.table.parser != "click":
        return frozenset()
    single = [use for use in reading.uses if use.flag is not None and not use.flag.repeatable]
    last = {use.flag: use.at for use in single}
    return frozenset(use.at for use in single if last[use.flag] != use.at)


def names_in(reading: ParsedCommand) -> Mapping[str, tuple[str, ...]]:
    """The flags of a command line, under every name they have, with the values of the last use."""
    return {name: use.values for use in reading.uses for name in _spellings(use)}


def change_of(
    table: FlagTable,
    use: FlagUse,
    used: Mapping[str, tuple[str, ...]],
    gpus_per_node: int = GPUS_PER_NODE,
) -> Change | None:
    """The change of a flag up to the table's version that matters for this use.

    Args:
        table: The entry point at the version of interest.
        use: The flag as it was used.
        used: Every flag of the command line (`names_in`).
        gpus_per_node: GPUs of the node on which it runs.
    """
    for spelling in _spellings(use):
        for change in table.changes_to(spelling):
            dated = change.since is not None or _differs(table, use, change)
            held = dated and change.holds(used, use.values, gpus_per_node)
            if change.kind != "added" and held:
                return change
    return None


def _differs(table: FlagTable, use: FlagUse, change: Change) -> bool:
    """Whether a change without a known version had happened, by the table that is used."""
    if change.kind in FATAL:
        return use.flag is None
    return not table.is_oldest


def _spellings(use: FlagUse) -> tuple[str, ...]:
    """The used name, then the other names with the same meaning."""
    if use.flag is None:
        return (use.name,)
    written = use.resolution.full_name if isinstance(use.resolution, Abbreviated) else use.name
    off = written in use.flag.negative_names
    same = (name for name in use.flag.names if (name in use.flag.negative_names) == off)
    return tuple(dict.fromkeys((written, *same)))


def _check_use(table: FlagTable, use: FlagUse, change: Change | None) -> Iterator[Finding]:
    if change is not None:
        yield changed(table, use, change)
        if change.kind in FATAL:
            return
    if isinstance(use.resolution, Unknown):
        yield from _unknown(table, use, use.resolution)
    elif isinstance(use.resolution, Ambiguous):
        candidates = use.resolution.candidates
        yield _codes.finding(
            "flag-ambiguous",
            use.name,
            f"{use.name} could be any of {counted(len(candidates), 'flag')} of {_program(table)}.",
            expected=", ".join(candidates),
            actual=use.name,
        )
    else:
        yield from _check_known(table, use, use.resolution.flag, noted=change is not None)


def _check_known(table: FlagTable, use: FlagUse, flag: Flag, *, noted: bool) -> Iterator[Finding]:
    if isinstance(use.resolution, Abbreviated):
        yield _codes.finding(
            "flag-abbreviated",
            use.name,
            f"{use.name} is taken for {use.resolution.full_name}; a flag that a later version "
            "adds can make it ambiguous.",
            expected=use.resolution.full_name,
            actual=use.name,
            fix=f"Write {use.resolution.full_name}.",
        )
    if flag.deprecated and not noted:
        yield _codes.finding(
            "flag-deprecated", use.name, f"{_program(table)} still takes {use.name}, and warns."
        )
    yield from _check_values(table, use, flag)


def _unknown(table: FlagTable, use: FlagUse, unknown: Unknown) -> Iterator[Finding]:
    if table.passes_on is not None:
        passed_on = FlagUse(
            use.name, table.passes_on.resolve(use.name), use.values, use.joined, use.at
        )
        change = change_of(table.passes_on, passed_on, {})
        yield from _check_use(table.passes_on, passed_on, change)
        return
    yield _codes.finding(
        "flag-unknown",
        use.name,
        f"{_program(table)} has no flag {use.name}.",
        expected=unknown.nearest or None,
        actual=use.name,
        fix=f"Did you mean {unknown.nearest}?" if unknown.nearest else None,
    )


def changed(table: FlagTable, use: FlagUse, change: Change) -> Finding:
    """The finding for a flag that has changed."""
    since = f" since {change.since}" if change.since else ""
    arguments = change.arguments(use.name, use.values)
    new = " ".join(arguments or ())
    words = {
        "renamed": f"{use.name} has another name in {_program(table)}{since}.",
        "replaced": f"{use.name} is written in another way in {_program(table)}{since}.",
        "removed": f"{use.name} is gone from {_program(table)}{since}.",
        "refused": f"{_program(table)} refuses to start with {use.name}{since}.",
        "deprecated": f"{_program(table)} still takes {use.name}, and warns{since}.",
        "meaning-changed": f"{use.name} does something else in {_program(table)}{since}.",
    }
    fix = (
        f"Write {_typed(arguments)}" if arguments else "Leave it out." if arguments == () else None
    )
    if arguments is None and change.kind in FATAL:
        fix = "No successor is known."
    return _codes.finding(
        _CODES[change.kind],
        use.name,
        f"{words[change.kind]} {change.reason}",
        expected=new or None,
        actual=" ".join((use.name, *use.values)),
        fix=fix,
    )


def _typed(arguments: Sequence[str]) -> str:
    """Arguments as a user types them: a placeholder such as $PORT is not quoted."""
    return " ".join(word if has_placeholder(word) else shell_line(word) for word in arguments)


def _check_values(table: FlagTable, use: FlagUse, flag: Flag) -> Iterator[Finding]:
    count = len(use.values)
    if not flag.takes_value and use.joined:
        yield _arity(table, use, "no value", f"={use.values[0]}")
        return
    if count < flag.min_values:
        wanted = "a value" if flag.min_values == 1 else f"{flag.min_values} values"
        yield _arity(table, use, wanted, "none" if not count else str(count))
        return
    for value in use.values:
        if not has_placeholder(value):
            yield from _check_value(use, flag, value)


def _arity(table: FlagTable, use: FlagUse, expected: str, actual: str) -> Finding:
    return _codes.finding(
        "flag-arity",
        use.name,
        f"{use.name} of {_program(table)} takes {expected}.",
        expected=expected,
        actual=actual,
    )


def _check_value(use: FlagUse, flag: Flag, value: str) -> Iterator[Finding]:
    if use.name.startswith("-O") or "." in use.name.lstrip("-"):
        return  # vLLM's -O3, and a member of a JSON value, whose type the table does not hold
    if flag.choices and value not in flag.choices:
        yield _codes.finding(
            "flag-choice",
            use.name,
            f"{use.name} does not take {value!r}.",
            expected=", ".join(flag.choices),
            actual=value,
        )
    elif wrong := _wrong_type(flag.type, value):
        yield _codes.finding(
            "flag-value",
            use.name,
            f"The value of {use.name} is not {wrong}.",
            expected=wrong,
            actual=value,
        )


def _wrong_type(wanted: str, value: str) -> str:
    """The expected kind of value; "" if the value is of that kind."""
    try:
        match wanted:
            case "int":
                int(value)
            case "float":
                math.isnan(float(value))
            case "size":
                if not _SIZE.fullmatch(value.strip()):
                    return "a number such as 8192 or 8k"
            case "json":
                json.loads(value)
            case "json object":
                if not isinstance(json.loads(value), dict):
                    return "a JSON object"
    except (ValueError, RecursionError):
        return {"int": "a whole number", "float": "a number"}.get(wanted, "JSON")
    return ""


def _check_repeated(reading: ParsedCommand) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for use in reading.uses:
        flag = use.flag
        if flag is None or flag.repeatable or not flag.takes_value or "." in use.name:
            continue
        seen[flag.name] = seen.get(flag.name, 0) + 1
    for name, count in seen.items():
        if count > 1:
            yield _codes.finding(
                "flag-repeated",
                name,
                f"{name} stands {counted(count, 'time')}; the last one wins.",
                expected="once",
                actual=counted(count, "time"),
            )


def _check_loose(reading: ParsedCommand) -> Iterator[Finding]:
    for loose in reading.loose[len(reading.table.positionals) :]:
        yield _codes.finding(
            "argument-unexpected",
            loose.value,
            f"{_program(reading.table)} takes no further argument; {loose.value!r} belongs to "
            "no flag.",
            actual=loose.value,
        )


def _missing(reading: ParsedCommand) -> Iterator[Finding]:
    if any(use.name in {"-h", "--help"} for use in reading.uses):
        return
    table = reading.table
    for flag in table.flags:
        if flag.required and all(use.flag != flag for use in reading.uses):
            yield _absent(table, flag.name)
    for positional in table.positionals[len(reading.loose) :]:
        if positional.required:
            yield _absent(table, positional.name.upper())


def _absent(table: FlagTable, name: str) -> Finding:
    return _codes.finding(
        "flag-missing", name, f"{_program(table)} needs {name}.", expected=name, actual="absent"
    )


def _program(table: FlagTable) -> str:
    return f"{table.entry} of {table.engine} {table.version}"
