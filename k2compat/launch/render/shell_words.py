"""Words as a POSIX shell reads them: text quoted, placeholders as quoted variables."""

import shlex
from collections.abc import Iterable

from k2compat.launch.plan import Command
from k2compat.launch.words import Placeholder, Word


def shell_word(word: Word) -> str:
    """One argument; whatever is in it, the shell passes it on as one and expands only placeholders.

    `<IMAGE>` becomes "${IMAGE}", since a shell takes < for a redirection.
    """
    return "".join(map(_part, word.parts)) or "''"


def shell_command(command: Command) -> list[str]:
    """A command's words for a shell: variables first, a flag and its value together.

    Returns:
        Pieces that belong on one line; the first is the program with its positionals.
    """
    pieces: list[str] = []
    for word in command.argv:
        quoted = shell_word(word)
        starts = not pieces or str(word).startswith("-")
        if starts and pieces:
            pieces.append(quoted)
        elif pieces:
            pieces[-1] += f" {quoted}"
        else:
            pieces.append(quoted)
    return [*assignments(command), *pieces]


def assignments(command: Command) -> Iterable[str]:
    """NAME=value for each variable of a command."""
    return [f"{name}={shell_word(word)}" for name, word in command.environment.items()]


def _part(part: str | Placeholder) -> str:
    if isinstance(part, Placeholder):
        return f'"${{{part.name}}}"'
    return shlex.quote(part)
