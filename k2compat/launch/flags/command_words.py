"""Find words in a command, whatever program it is: "--flag value" and "--flag=value" alike."""

from collections.abc import Sequence
from itertools import pairwise


def values_of(argv: Sequence[str], *flags: str) -> list[str]:
    """The values that a command gives any of these flags, in their order."""
    joined = [
        (at, value)
        for at, (name, equals, value) in enumerate(word.partition("=") for word in argv)
        if equals and name in flags
    ]
    apart = [(at, value) for at, (name, value) in enumerate(pairwise(argv)) if name in flags]
    return [value for _, value in sorted(joined + apart)]


def has_word(argv: Sequence[str], word: str) -> bool:
    """Whether a command holds a word; "--flag=value" also where the two are apart."""
    flag, equals, value = word.partition("=")
    if equals:
        return value in values_of(argv, flag)
    return any(argument == word or argument.startswith(f"{word}=") for argument in argv)
