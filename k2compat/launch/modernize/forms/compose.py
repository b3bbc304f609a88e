"""Compose files: `entrypoint:` and `command:` of each service, as text or as lists."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import yaml

from k2compat.launch.modernize.command_text import CommandText, Document, Name, Part
from k2compat.launch.modernize.forms.interface import NestedReader
from k2compat.launch.modernize.forms.yaml_nodes import (
    documents,
    list_part,
    members,
    name_at,
    read_scalar,
    scalars,
    script_commands,
)
from k2compat.launch.modernize.shell_text import WORDS

NAME: Final = "Compose file"

_SERVICES: Final = re.compile(r"^services:", re.MULTILINE)


def recognizes(text: str) -> bool:
    """Whether the text has a member `services` at the top."""
    return _SERVICES.search(text) is not None


def read(text: str, start: int, end: int, nested: NestedReader) -> Document:
    """The commands and the variables of all services.

    Raises:
        RefusedError: document-malformed, shell-unclosed.
    """
    document = Document(NAME)
    for node in documents(text, start, end, NAME):
        services = members(node).get("services")
        for _, service in members(services[1] if services else None).values():
            document.add(_service(text, start, service, nested))
    return document


def _service(text: str, start: int, service: yaml.Node, nested: NestedReader) -> Document:
    document = Document(NAME)
    found = members(service)
    image = found["image"][1] if "image" in found else None
    name = name_at(image, start) if isinstance(image, yaml.ScalarNode) else None
    parts: list[Part] = []
    lists: list[tuple[yaml.ScalarNode, ...]] = []
    for key in ("entrypoint", "command"):
        if key not in found:
            continue
        value = found[key][1]
        if isinstance(value, yaml.ScalarNode):
            read = read_scalar(text, start, value, WORDS, nested)
            parts += [part for command in read.commands for part in command.parts]
            document.variables += read.variables
            document.unread += read.unread
        elif items := scalars(value):
            lists.append(items)
            parts.append(list_part(text, start, items))
    script = script_commands(text, start, lists, nested)
    if script is not None:
        document.add(script)
        document.commands = [replace(command, image=name) for command in document.commands]
    elif parts:
        by_image = "entrypoint" not in found
        document.commands.append(CommandText(tuple(parts), image=name, by_image=by_image))
    if "environment" in found:
        document.variables += _variables(found["environment"][1], start)
    return document


def _variables(node: yaml.Node, start: int) -> Iterator[Name]:
    """`environment:` as a mapping, or as a list of NAME=VALUE."""
    for item in scalars(node):
        yield name_at(item, start)
    for key, value in members(node).values():
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode):
            yield name_at(key, start, str(value.value))
