"""Variables that an engine reads from its environment: renamed, removed, or not added yet.

They are judged like flags: by their changes up to the version to write for. Each change of a
variable has its first version, since no table lists the variables of a release.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from k2compat.findings import Codes, Finding
from k2compat.launch.engines import engine_names
from k2compat.launch.flags import GONE, Change, EngineRelease, changes_of, changes_to
from k2compat.launch.modernize.command_text import Edit, Name
from k2compat.launch.modernize.releases import Releases
from k2compat.launch.request import PLACEHOLDER

_codes = Codes("launch")

# The name of the environment in the history.
_ENTRY: Final = "environment"


def modern_variables(
    text: str, variables: Sequence[Name], releases: Releases
) -> Iterator[tuple[Edit | None, Finding]]:
    """The changes of the variables that a document sets, with the edit for a renamed one.

    A removed variable stays in the text, since the engine ignores it. The finding names its
    successor.
    """
    for variable in variables:
        for engine in engine_names():
            release = releases.beside(engine)
            change = _change(release, variable.text)
            if change is not None:
                line = text.count("\n", 0, variable.start) + 1
                yield _judged(change, variable, release, line)


def _change(release: EngineRelease, name: str) -> Change | None:
    """The change of a variable up to a release, or the release that first reads it."""
    happened = changes_to(release.engine, _ENTRY, name, release.version)
    if happened:
        return happened[0] if happened[0].kind in GONE else None
    later = (each for each in changes_of(release.engine, _ENTRY) if each.is_about(name))
    return next((each for each in later if each.kind == "added"), None)


def _judged(
    change: Change, variable: Name, release: EngineRelease, line: int
) -> tuple[Edit | None, Finding]:
    value = variable.value
    if change.kind == "added":
        return None, _codes.finding(
            "variable-gone",
            f"line {line}",
            f"{variable.text} does nothing in {release}: {change.since} is the first to read it.",
            actual=variable.text,
            fix="Leave it out.",
        )
    to = change.arguments(variable.text, (value,) if value else ()) or ()
    if change.kind == "renamed":
        edit = Edit(variable.start, variable.end, to[0])
        return edit, _codes.finding(
            "variable-renamed",
            f"line {line}",
            f"{variable.text} is {to[0]} in {release}. {change.reason}",
            expected=to[0],
            actual=variable.text,
        )
    fix = "Leave it out."
    if to:
        shown = " ".join(to) if not PLACEHOLDER.search(value) else f"{to[0]} {value}"
        fix = f"Leave it out, and give the flag {shown}."
    return None, _codes.finding(
        "variable-gone",
        f"line {line}",
        f"{variable.text} does nothing in {release}. {change.reason}",
        actual=variable.text,
        fix=fix,
    )
