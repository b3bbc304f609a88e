"""Common parts of the dialects: the error for a config that cannot be read, and pattern lists."""

from collections.abc import Iterable

from k2compat.checkpoint.model.module_patterns import Bare, ModulePatterns, PatternError


class UnknownSettingError(Exception):
    """A setting that the dialect does not know. This room catches it."""


def patterns(values: object, bare: Bare = "exact") -> ModulePatterns:
    """A config's list of modules.

    Raises:
        UnknownSettingError: It is no list of strings, or cannot be followed.
    """
    if values is None:
        values = []
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise UnknownSettingError("the list of modules")
    return compiled(values, bare)


def compiled(values: Iterable[str], bare: Bare = "exact") -> ModulePatterns:
    """Patterns of modules.

    Raises:
        UnknownSettingError: They cannot be followed.
    """
    try:
        return ModulePatterns(values, bare)
    except PatternError as error:
        raise UnknownSettingError("the list of modules") from error


def required(value: int | None, what: str) -> int:
    """A number that the dialect requires.

    Raises:
        UnknownSettingError: There is none.
    """
    if value is None:
        raise UnknownSettingError(what)
    return value
