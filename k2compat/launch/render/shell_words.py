"""Words for a POSIX shell: text is quoted, placeholders are quoted variables."""

import shlex
from collections.abc import Container, Iterable, Iterator

from k2compat.launch.plan import Command
from k2compat.launch.request import ALWAYS_SET, Argument, Placeholder

_LINE = 88


def shell_word(word: Argument) -> str:
    """One argument, which the shell passes on as one word, with only placeholders expanded.

    `<IMAGE>` becomes "${IMAGE}", since a shell reads < as a redirection.
    """
    return "".join(map(_part, word.parts)) or "''"


def flag_lines(command: Command) -> list[str]:
    """A command's arguments in lines: each flag with its value.

    The words before the flags are one line, unless it is long.
    """
    lines = [" ".join(map(shell_word, command.argv[: command.head]))]
    taken = command.head
    if len(lines[0]) > _LINE:
        lines, taken = [shell_word(command.argv[0])], 1
    for word in command.argv[taken:]:
        quoted = shell_word(word)
        if not str(word).startswith("-"):
            lines[-1] += f" {quoted}"
        else:
            lines.append(quoted)
    return lines


def assignments(command: Command) -> list[str]:
    """NAME=value for each variable of a command."""
    return [f"{name}={shell_word(word)}" for name, word in command.environment.items()]


def call_lines(command: Command, *, becomes: bool = False) -> list[str]:
    """The whole call, in lines: variables, `docker exec` for a container, the arguments.

    Args:
        command: The command.
        becomes: Whether it replaces the shell.
    """
    variables = assignments(command)
    lines = flag_lines(command)
    if command.inside is not None:
        given = "".join(f"-e {variable} " for variable in variables)
        start = f"docker exec {given}{shell_word(command.inside)}"
        return [f"{'exec ' if becomes else ''}{start}", *lines]
    if becomes:
        return [f"exec {'env ' if variables else ''}{' '.join(variables)}".rstrip(), *lines]
    return [*variables, *lines]


def open_names(commands: Iterable[Command]) -> list[str]:
    """The variables of the placeholders in these commands, without those of every shell."""
    return names_in(word for command in commands for word in command.words)


def names_in(words: Iterable[Argument]) -> list[str]:
    """The same of single words."""
    names = dict.fromkeys(
        placeholder.name
        for word in words
        for placeholder in word.placeholders
        if placeholder.name not in ALWAYS_SET
    )
    return list(names)


def required_variables(
    commands: Iterable[Command], but: Container[str] = (), and_of: Iterable[Argument] = ()
) -> Iterator[str]:
    """Lines that stop a script, with the name, where a placeholder's variable is not set.

    Args:
        commands: The commands of the script.
        but: Names that the script sets itself.
        and_of: What else the script uses.
    """
    found = dict.fromkeys([*open_names(commands), *names_in(and_of)])
    names = [name for name in found if name not in but]
    if names:
        yield "\n# Values that were left open: set them before this script is run."
    for name in names:
        yield f': "${{{name}:?is not set}}"'


def _part(part: str | Placeholder) -> str:
    if isinstance(part, Placeholder):
        return f'"${{{part.name}}}"'
    return shlex.quote(part)
