"""Quote words for a shell, so that root can paste the commands that k2compat prints.

`shlex.quote` alone leaves a line feed or an escape sequence of a file's name as it is: a
terminal obeys it, and a pasted line ends there. Words with such characters use `$'…'`, which
bash, zsh, ksh and POSIX.1-2024 read.
"""

import shlex
from collections.abc import Iterable
from os import PathLike, fspath

Word = str | PathLike[str]
"""One argument. A path that begins with a dash becomes `./-name`, which no program takes for an
option."""


def shell_line(*words: Word) -> str:
    """One command as a line for a shell: its words quoted where they need it.

    Args:
        words: The program and its arguments, each as the program receives it.
    """
    return " ".join(_quoted(word) for word in words)


def shell_lines(commands: Iterable[Iterable[Word]]) -> str:
    """Several commands as one line, to be run one after the other."""
    return "; ".join(shell_line(*words) for words in commands)


def _quoted(word: Word) -> str:
    text = word if isinstance(word, str) else fspath(word)
    if text.startswith("-") and not isinstance(word, str):
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    # Three octal digits end by themselves; \xNN takes any number of digits in some shells.
    # A lone surrogate that is no undecodable byte of a file's name can only come from JSON.
    errors = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", errors))
