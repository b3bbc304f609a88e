"""The place of an engine's program in a command."""

from dataclasses import dataclass
from typing import Final

import msgspec

from k2compat.launch.engines import engine_names
from k2compat.launch.flags import WRAPPERS, EntryPoint, Image, entry_point, programs_of, recognize
from k2compat.launch.modernize.command_text import CommandText, Name

_CONTAINERS: Final = (["docker"], ["podman"], ["nerdctl"])

# Programs that a document names instead of the image's own program.
_PROGRAMS: Final = WRAPPERS | {"sh", "bash", "dash", "zsh", "vllm", "sglang", "trtllm-serve"}


@dataclass(frozen=True, slots=True)
class Place:
    """The place of an engine's program in a command.

    Attributes:
        entry: The entry point that it starts.
        first: The number of the program's first word.
        arguments: The number of the first word after the program. With `by_image` the program is
            the entry point of the image and has no words.
        image: The name of the container image; None where the command names none.
        by_image: Whether the image starts the program.
    """

    entry: EntryPoint
    first: int
    arguments: int
    image: Name | None = None
    by_image: bool = False


def program_in(command: CommandText) -> Place | None:
    """The engine's program in a command, after assignments and wrappers such as mpirun."""
    if command.settings_of:
        config = programs_of(command.settings_of).config_file
        return None if config is None else Place(_keys(command.settings_of, config), 0, 0)
    values = [word.value for word in command.words]
    begin = command.assignments
    wrapped = begin < len(values) and values[begin].lstrip("-@:+!").rsplit("/", 1)[-1] in WRAPPERS
    last = len(values) if wrapped else begin + 1
    named = command.image
    for first in range(begin, min(last, len(values))):
        recognized = recognize(values[first:])
        if recognized is not None:
            return Place(recognized[0], first, first + recognized[1], named)
        if wrapped and (engine := engine_of_image(values[first])) is not None:
            word = command.words[first]
            named = Name(word.at, word.at + len(word.source), word.value)
            entry = _entry_of_image(engine)
            others = any(word.startswith("--entrypoint") for word in values[begin:first])
            if entry is not None and not others and not _program_follows(values[first + 1 :]):
                return Place(entry, first + 1, first + 1, named, by_image=True)
    return _started_by_image(command, values)


def image_without_program(command: CommandText) -> tuple[Name, Image] | None:
    """The engine's image that gets only flags from a command, but starts no server by itself."""
    named = command.image or _image_of_wrapper(command)
    values = [word.value for word in command.words if named and word.at > named.start]
    if command.image is not None:
        values = [word.value for word in command.words] if command.by_image else []
    if named is None or not values or not (_is_flag(values) or _is_model(command, values)):
        return None
    engine = engine_of_image(named.text)
    image = None if engine is None else programs_of(engine).image
    return None if image is None or image.entry else (named, image)


def _image_of_wrapper(command: CommandText) -> Name | None:
    """The image of `docker run IMAGE …`, whose entry point no option replaces."""
    values = [word.value for word in command.words]
    if values[command.assignments : command.assignments + 1] not in _CONTAINERS:
        return None
    for word in command.words:
        if word.value.startswith("--entrypoint"):
            return None
        if engine_of_image(word.value) is not None:
            return Name(word.at, word.at + len(word.source), word.value)
    return None


def _keys(engine: str, config: str) -> EntryPoint:
    """The entry point for a config file: the model is a key like others."""
    return msgspec.structs.replace(entry_point(engine, config), model="--model")


def _program_follows(values: list[str]) -> bool:
    return any(recognize(values[at:]) is not None for at in range(len(values)))


def _started_by_image(command: CommandText, values: list[str]) -> Place | None:
    """The program that an image starts, where a document names the image and the flags."""
    if command.image is None or not (_is_flag(values[:1]) or _is_model(command, values)):
        return None
    engine = engine_of_image(command.image.text)
    entry = _entry_of_image(engine) if engine is not None and values else None
    return None if entry is None else Place(entry, 0, 0, command.image, by_image=True)


def _is_flag(words: list[str]) -> bool:
    return not words or words[0].startswith("-")


def _is_model(command: CommandText, values: list[str]) -> bool:
    """Whether the words are a model and flags, as an image needs them whose program is a server."""
    folder, slash, name = values[0].rpartition("/")
    is_program = name in _PROGRAMS or name.startswith("python") or folder.endswith("bin")
    flags = any(word.startswith("--") for word in values[1:])
    return command.by_image and not is_program and (bool(slash) or flags)


def _entry_of_image(engine: str) -> EntryPoint | None:
    """The entry point that an engine's image starts by itself."""
    image = programs_of(engine).image
    return None if image is None or not image.entry else entry_point(engine, image.entry)


def engine_of_image(word: str) -> str | None:
    """The engine whose container image a word names."""
    for engine in engine_names():
        image = programs_of(engine).image
        if image is not None and image.matches(word):
            return engine
    return None
