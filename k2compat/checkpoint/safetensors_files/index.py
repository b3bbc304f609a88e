"""The index of a checkpoint in shards: which tensor is in which file.

The index is untrusted: a path in it may lead anywhere, so only paths in the checkpoint's own
listing are opened.

The weight_map is read piece by piece. The index of Kimi-K2.5 in NVFP4 has 32 MB: read at once,
its bytes, its text and a string for each tensor's shard take 120 MiB; in pieces, with one string
for each shard, 50.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from k2compat.checkpoint.reporting import FileFindings, named
from k2compat.checkpoint.safetensors_files.strict_json import (
    JsonError,
    JsonObject,
    JsonValue,
    load_json,
)
from k2compat.checkpoint.sources import ReadableFile
from k2compat.files import reading
from k2compat.findings import Finding
from k2compat.printable import counted, shortened

INDEX_FILE = "model.safetensors.index.json"
INDEX_BYTES_MAX = 256 << 20
"""Kimi-K2.5's has 19 MB."""
PIECE_BYTES: Final = 1 << 20
"""How much of an index is read at once."""
_REST_CHARACTERS_MAX: Final = 1 << 20
_BEGIN: Final = re.compile(r'"weight_map"\s*:\s*\{')
_KEY: Final = '"weight_map"'
_NEXT: Final = '",'


@dataclass(frozen=True, slots=True)
class WeightIndex:
    """An index that could be read.

    Attributes:
        weight_map: Tensor name → file, without the tensors in `outside`.
        total_size: Bytes of all tensors, as metadata.total_size gives it; None without one.
        files: The files in weight_map, in its order, with how many tensors each.
        outside: Tensors in files outside of the folder, which are never opened.
    """

    weight_map: Mapping[str, str]
    total_size: int | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    outside: AbstractSet[str] = frozenset()


def read_index(
    file: ReadableFile, *, is_remote: bool = False
) -> tuple[WeightIndex | None, tuple[Finding, ...]]:
    """Read an index; its faults are findings.

    Args:
        file: The index.
        is_remote: Whether each read is a request.

    Raises:
        FileRefusedError: The file cannot be read.
    """
    where = str(file.path)
    if file.size <= INDEX_BYTES_MAX:
        with reading(where):
            split = split_index(file, max(file.size, 1) if is_remote else PIECE_BYTES)
            if split is not None:
                found = FileFindings(where)
                members = _members(split.rest.encode("utf-8", "surrogatepass"), found)
                if members is not None and members.get("weight_map") == {}:
                    return _weight_index(split.weight_map, members, found)
            del split
    return parse_index(file.read(0, INDEX_BYTES_MAX + 1), where)


def parse_index(data: bytes, where: str) -> tuple[WeightIndex | None, tuple[Finding, ...]]:
    """Read an index; its faults are findings.

    Args:
        data: The file's bytes.
        where: Names the file in findings.
    """
    defects = FileFindings(where)
    with reading(where):
        members = _members(data, defects)
    if members is None:
        return None, defects.findings()
    places = members.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        defects.add(
            "index-damaged",
            "weight_map is no object of tensors and the files that hold them",
            at="weight_map",
        )
        return None, defects.findings()
    if not places:
        defects.add("index-damaged", "weight_map names no tensors", at="weight_map")
        return None, defects.findings()
    return _weight_index(places, members, defects)


def _weight_index(
    places: dict[str, str], members: Mapping[str, Any], defects: FileFindings
) -> tuple[WeightIndex | None, tuple[Finding, ...]]:
    counts = Counter(places.values())
    outside = {name: count for name, count in counts.items() if not _is_inside(name)}
    for name, count in outside.items():
        defects.add(
            "index-path",
            "weight_map names a path that is not inside the folder; it was not opened",
            at="weight_map",
            count=count,
            actual=name,
        )
    files = {name: count for name, count in counts.items() if name not in outside}
    if not files:
        return None, defects.findings()
    refused = {name for name, place in places.items() if place in outside} if outside else set()
    for name in refused:
        del places[name]
    size = _total_size(members, defects)
    return WeightIndex(places, size, files, refused), defects.findings()


def _members(data: bytes, defects: FileFindings) -> dict[str, Any] | None:
    if len(data) > INDEX_BYTES_MAX:
        message = f"has {counted(len(data), 'byte')} and was not read"
        defects.add("index-damaged", message, expected=f"at most {INDEX_BYTES_MAX:,}")
        return None
    try:
        text = data.decode("utf-8-sig")
        members = json.loads(text)
        if isinstance(members, dict) and text.count(":") > _count_members(members):
            _check_repeated(load_json(text), defects)
    except UnicodeDecodeError as error:
        defects.add("index-damaged", "the index is not UTF-8", at=f"byte {error.start}")
        return None
    except json.JSONDecodeError as error:
        at = f"character {error.pos}"
        defects.add("index-damaged", f"the index is not JSON: {error.msg}", at=at)
        return None
    except (ValueError, RecursionError, JsonError):
        defects.add("index-damaged", "is nested too deeply, or has a number without end")
        return None
    if not isinstance(members, dict):
        defects.add("index-damaged", "is JSON, but no object")
        return None
    return members


def _count_members(value: dict[str, Any]) -> int:
    """How many members its objects have, down to the second level: an index has no third."""
    return len(value) + sum(len(member) for member in value.values() if isinstance(member, dict))


def _check_repeated(members: JsonValue, defects: FileFindings) -> None:
    """Note repeated keys; each member has a colon, so if the colons' number fits there are none."""
    pairs = members if isinstance(members, JsonObject) else JsonObject()
    for at, value in (("", pairs), *pairs):
        keys = Counter(key for key, _ in value) if isinstance(value, JsonObject) else Counter[str]()
        repeated = [key for key, times in keys.items() if times > 1]
        if repeated:
            defects.add(
                "index-key-repeated",
                f"there are {counted(len(repeated), 'repeated name')}: {named(repeated)}",
                at=shortened(at),
                count=len(repeated),
            )


def _total_size(members: Mapping[str, Any], defects: FileFindings) -> int | None:
    metadata = members.get("metadata")
    if metadata is None:
        return None
    size = metadata.get("total_size") if isinstance(metadata, dict) else metadata
    # Some tools write it as 1e12 or 1000.0, which is the same number.
    if isinstance(size, float) and size.is_integer():
        return int(size)
    if size is None or type(size) is int:
        return size
    defects.add(
        "index-total-size",
        "metadata has no whole number as total_size",
        at="metadata.total_size",
        actual=size,
    )
    return None


def _is_inside(name: str) -> bool:
    """Whether it names a file in the folder; whether it exists is another question."""
    path = PurePosixPath(name)
    return (
        name != ""
        and not path.is_absolute()
        and ".." not in path.parts
        and "\\" not in name
        and "\0" not in name
        and path.name != ""
        # Engines compare these paths as text: to them "./model-1-of-2" is not in the folder.
        and str(path) == name
    )


class SplitIndex(NamedTuple):
    """An index in two parts.

    Attributes:
        rest: The JSON document with an empty weight_map.
        weight_map: Tensor → file.
    """

    rest: str
    weight_map: dict[str, str]


def split_index(file: ReadableFile, piece_bytes: int = PIECE_BYTES) -> SplitIndex | None:
    """Read an index in pieces.

    Args:
        file: The index.
        piece_bytes: How much is read at once.

    Returns:
        None for an index in an unusual form, or a damaged one: the reader of the whole document
        then finds its faults.

    Raises:
        FileRefusedError: The file cannot be read.
    """
    try:
        return _split(_pieces(file, piece_bytes))
    except (TypeError, ValueError, RecursionError):  # not UTF-8, not JSON, or nested too deeply
        return None


def _pieces(file: ReadableFile, piece_bytes: int) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, file.size, piece_bytes):
        yield decoder.decode(file.read(start, piece_bytes), start + piece_bytes >= file.size)


def _split(pieces: Iterator[str]) -> SplitIndex | None:
    text = ""
    begin = None
    while begin is None and len(text) <= _REST_CHARACTERS_MAX:
        piece = next(pieces, None)
        if piece is None:
            return None
        text += piece
        begin = _BEGIN.search(text)
    if begin is None:
        return None
    before, text = text[: begin.end()], text[begin.end() :]
    weight_map: dict[str, str] = {}
    files: dict[str, str] = {}
    count = 0
    while (end := text.find("}")) < 0:
        cut = text.rfind(_NEXT) + 1
        if cut:
            count += _take(text[:cut], weight_map, files)
            text = text[cut + 1 :]
        piece = next(pieces, None)
        if piece is None or len(text) > _REST_CHARACTERS_MAX:
            return None
        text += piece
    count += _take(text[:end], weight_map, files)
    after = text[end:] + "".join(pieces)
    # A repeated name or a second map: the reader of the whole document reports them.
    if count != len(weight_map) or not count or _KEY in after:
        return None
    return SplitIndex(before + after, weight_map)


def _take(text: str, weight_map: dict[str, str], files: dict[str, str]) -> int:
    """Add a piece of the map; returns how many members it has.

    Raises:
        ValueError, TypeError: It is no piece of a JSON object of strings.
    """
    pairs: list[tuple[str, object]] = json.loads("{" + text + "}", object_pairs_hook=list)
    names, places = zip(*pairs, strict=True)  # ValueError for no members
    if set(map(type, places)) != {str}:
        raise TypeError("a member is not a string")
    weight_map.update(zip(names, map(files.setdefault, places, places), strict=True))
    return len(pairs)
