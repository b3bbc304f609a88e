"""Values that users give: what may become an argument, and what no quoting could save."""

from k2compat.errors import RefusedError
from k2compat.launch.request.arguments import Argument


def user_value(text: str, what: str, *, joined: bool = False) -> Argument:
    """A user's path, name or setting as one argument; a placeholder stays one.

    Any text can be quoted for a shell. Two kinds still do harm: what begins with a dash is a
    flag to the engine, however it is quoted; and what does not print can end a line in files
    that have no quotes (sshd_config, a YAML comment, sbatch headers).

    Args:
        text: What the user gave.
        what: Its name on the command line, for the message.
        joined: Whether it stands behind `--flag=`, where a dash at its front does no harm.

    Raises:
        RefusedError: value-malformed.
    """
    if text.startswith("-") and not joined:
        problem = "begins with a dash, which every engine reads as a flag"
    elif not text:
        problem = "is empty"
    elif not text.isprintable():
        problem = "has characters that do not print"
    else:
        return Argument.parse(text)
    raise RefusedError(
        "value-malformed",
        f"{what} {text!r} {problem}.",
        hint="Give another value; a path may be written as ./-name.",
    )


def port(text: str, what: str) -> Argument:
    """A port's number, or a placeholder.

    Raises:
        RefusedError: port-malformed.
    """
    word = Argument.parse(text)
    if len(word.parts) == 1 and word.placeholders:
        return word
    if text.isascii() and text.isdigit() and 0 < int(text[:6]) < 1 << 16:
        return Argument.literal(int(text))
    raise RefusedError(
        "port-malformed",
        f"{what} {text!r} is no port.",
        hint="Ports are numbers from 1 to 65535, or placeholders such as $PORT.",
    )
