"""Kubernetes manifests: every container in objects of any kind.

A container is a mapping with `image`, `command` or `args`; Deployments, LeaderWorkerSets, Jobs and
custom resources have them in different places.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import yaml

from k2compat.launch.modernize.command_text import CommandText, Document, Name
from k2compat.launch.modernize.forms.interface import NestedReader
from k2compat.launch.modernize.forms.yaml_nodes import (
    documents,
    list_part,
    mappings,
    members,
    name_at,
    scalars,
    script_commands,
)

NAME: Final = "Kubernetes manifest"

_HEAD: Final = re.compile(r"^apiVersion:", re.MULTILINE)
_KIND: Final = re.compile(r"^kind:", re.MULTILINE)


def recognizes(text: str) -> bool:
    """Whether an object of the text has an apiVersion and a kind."""
    return _HEAD.search(text) is not None and _KIND.search(text) is not None


def read(text: str, start: int, end: int, nested: NestedReader) -> Document:
    """The commands and the variables of all containers.

    Raises:
        RefusedError: document-malformed, shell-unclosed.
    """
    document = Document(NAME)
    for node in documents(text, start, end, NAME):
        for mapping in mappings(node):
            document.add(_container(text, start, mapping, nested))
    return document


def _container(text: str, start: int, node: yaml.MappingNode, nested: NestedReader) -> Document:
    document = Document(NAME)
    found = members(node)
    lists = [scalars(found[key][1]) for key in ("command", "args") if key in found]
    image = found["image"][1] if "image" in found else None
    if not (any(lists) or isinstance(image, yaml.ScalarNode)):
        return document
    name = name_at(image, start) if isinstance(image, yaml.ScalarNode) else None
    script = script_commands(text, start, lists, nested)
    if script is not None:
        document.add(script)
        document.commands = [replace(command, image=name) for command in document.commands]
    elif any(lists):
        parts = tuple(list_part(text, start, each) for each in lists if each)
        by_image = "command" not in found
        document.commands.append(CommandText(parts, image=name, by_image=by_image))
    document.variables += _variables(found.get("env", (node, node))[1], start)
    return document


def _variables(node: yaml.Node, start: int) -> Iterator[Name]:
    """The entries of `env:`, each with `name` and `value`."""
    if not isinstance(node, yaml.SequenceNode):
        return
    for entry in node.value:
        found = members(entry)
        name = found["name"][1] if "name" in found else None
        value = found["value"][1] if "value" in found else None
        if isinstance(name, yaml.ScalarNode):
            known = str(value.value) if isinstance(value, yaml.ScalarNode) else ""
            yield name_at(name, start, known)
