"""Completions of a shell for the values of options: codes, GPUs, an engine's flags."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from k2compat.findings import catalogue

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem  # lazy: 1 ms, needed only for completion


def complete_code(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list["CompletionItem"]:
    """The codes with this beginning."""
    return list(_codes(incomplete))


def complete_codes(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list["CompletionItem"]:
    """Completions of the last code of a list; codes that the list has already are left out."""
    from click.shell_completion import CompletionItem

    *listed, last = incomplete.split(",")
    before = "".join(f"{code}," for code in listed)
    return [
        CompletionItem(before + item.value, help=item.help)
        for item in _codes(last)
        if item.value not in listed
    ]


def complete_gpu(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The GPUs of the table with this beginning."""
    from k2compat.launch import gpu_names

    return [name for name in gpu_names() if name.startswith(incomplete.lower())]


def complete_setting(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list["CompletionItem"]:
    """The flags of the engine on the command line, at its newest version."""
    from click.shell_completion import CompletionItem

    from k2compat.cli.engine_flags import flags_of
    from k2compat.launch.flags import ENGINES

    # An option without its value ends click's parsing: the words before it are left as they are.
    engine = next((word.lower() for word in context.args if word.lower() in ENGINES), "")
    stem = incomplete.lstrip("-").replace("_", "-")
    named = {flag.name.lstrip("-"): flag for flag in flags_of(engine)}
    return [
        CompletionItem(f"{name}=" if flag.takes_value else name)
        for name, flag in sorted(named.items())
        if name.replace("_", "-").startswith(stem)
    ]


def _codes(incomplete: str) -> Iterator["CompletionItem"]:
    from click.shell_completion import CompletionItem

    for code, entry in catalogue().items():
        if code.startswith(incomplete):
            yield CompletionItem(code, help=entry.summary)
