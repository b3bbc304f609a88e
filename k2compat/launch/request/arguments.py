"""Words of a command that may hold placeholders: `$NAME`, `${NAME}`, `<NAME>`.

A placeholder is a value that the user will know later: an address, a port, an image. It is a
whole value or the host of `host:port`; anywhere else a dollar is plain text. A word is
kept in parts, so that no renderer has to guess which dollar is a placeholder:

    Argument.parse("$MASTER_IP:50000")  →  (Placeholder MASTER_IP) + ":50000"
    Argument.parse("$(reboot)")         →  the nine characters
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

import msgspec

from k2compat.errors import RefusedError

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
PLACEHOLDER: Final = re.compile(rf"\$(?:({_NAME})|\{{({_NAME})\}})|<([A-Za-z_][A-Za-z0-9_-]*)>")
"""`$NAME`, `${NAME}` or `<NAME>`; guides write <my-image> too, a name with a dash."""
_PORT = re.compile(r":[0-9]{1,5}")
FILES: Final = "K2COMPAT_FILES"
"""The folder into which a script writes its files if they are not in the script's folder."""

ALWAYS_SET: Final = frozenset({"PWD", "HOME", "HOSTNAME", FILES})
"""Names of placeholders whose value every shell, or every rendered script, has."""

_FIELD = re.compile(rf"\{{({_NAME})\}}")


class Placeholder(msgspec.Struct, frozen=True):
    """A value that is not known yet.

    Attributes:
        name: The name of the shell variable for it; a dash of <my-image> is an underscore.
        spelling: As it was written: "$PORT", "${PORT}" or "<PORT>".
    """

    name: str
    spelling: str

    def __str__(self) -> str:
        """As it was written."""
        return self.spelling


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, or one value of an environment variable; `str()` gives it as written.

    Attributes:
        parts: Text and placeholders, in their order.
        options: The names of the user's options in it. They are passed on while templates are
            filled, so that an option without an effect is found without planning again. They are
            ignored when arguments are compared.
    """

    parts: tuple[str | Placeholder, ...]
    options: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def literal(cls, text: object) -> Self:
        """A word in which nothing is a placeholder."""
        return cls((str(text),) if str(text) else ())

    @classmethod
    def parse(cls, text: str) -> Self:
        """A user's value: a placeholder, one before `:port`, or plain text."""
        match = PLACEHOLDER.match(text)
        if match is None:
            return cls.literal(text)
        rest = text[match.end() :]
        if rest and not _PORT.fullmatch(rest):
            return cls.literal(text)
        placeholder = Placeholder((match[1] or match[2] or match[3]).replace("-", "_"), match[0])
        return cls((placeholder, rest) if rest else (placeholder,))

    @classmethod
    def fill(cls, template: str, values: Mapping[str, "Argument"]) -> Self:
        """A template with each `{name}` replaced by the value of that name.

        Raises:
            KeyError: The template names a value that is not there (a mistake in a profile).
        """
        parts: list[str | Placeholder] = []
        options: set[str] = set()
        end = 0
        for match in _FIELD.finditer(template):
            value = values[match[1]]
            parts += [template[end : match.start()], *value.parts]
            options |= value.options
            end = match.end()
        return cls._joined([*parts, template[end:]], options)

    @classmethod
    def join(cls, separator: str, words: Iterable["Argument"]) -> Self:
        """The words with a separator between them."""
        parts: list[str | Placeholder] = []
        options: set[str] = set()
        for word in words:
            parts += [*([separator] if parts else []), *word.parts]
            options |= word.options
        return cls._joined(parts, options)

    @classmethod
    def _joined(cls, parts: Iterable[str | Placeholder], options: Iterable[str]) -> Self:
        """Neighbouring text becomes one part, so that equal words are equal."""
        merged: list[str | Placeholder] = []
        for part in parts:
            if isinstance(part, str) and merged and isinstance(merged[-1], str):
                merged[-1] += part
            elif part != "":
                merged.append(part)
        return cls(tuple(merged), frozenset(options))

    def given_by(self, *options: str) -> "Argument":
        """The same, with the user's options in it."""
        return replace(self, options=self.options.union(options))

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """The placeholders in it."""
        return tuple(part for part in self.parts if isinstance(part, Placeholder))

    def __str__(self) -> str:
        """As it was written."""
        return "".join(map(str, self.parts))


def user_value(text: str, what: str, *, joined: bool = False) -> Argument:
    """A user's path, name or setting as one argument; a placeholder stays one.

    Any text can be quoted for a shell. Two kinds still do harm: a text with a dash in front is a
    flag to the engine even if it is quoted, and a character that does not print can end a line in
    files that have no quotes (sshd_config, a YAML comment, sbatch headers).

    Args:
        text: What the user gave.
        what: Its name on the command line, for the message.
        joined: Whether it follows `--flag=`, where a dash in front does no harm.

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
