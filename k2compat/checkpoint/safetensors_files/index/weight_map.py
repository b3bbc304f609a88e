"""Read the weight_map of an index piece by piece.

The index of Kimi-K2.5 in NVFP4 has 32 MB. Read at once, its bytes, its text and a string for
each tensor's shard take 120 MiB; in pieces, with one string for each shard, 50.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from k2compat.checkpoint.sources import ReadableFile

PIECE_BYTES: Final = 1 << 20
_REST_CHARACTERS_MAX: Final = 1 << 20
_BEGIN: Final = re.compile(r'"weight_map"\s*:\s*\{')
_KEY: Final = '"weight_map"'
_NEXT: Final = '",'


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
        None for anything that is not as programs write it, damaged ones included: who reads the
        whole document finds out what is wrong.

    Raises:
        FileRefusedError: The file cannot be read.
    """
    try:
        return _split(_pieces(file, piece_bytes))
    except (TypeError, ValueError, RecursionError):  # neither UTF-8 nor JSON, or nested without end
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
    # A name that comes twice, or a second map: the reader of the whole document reports them.
    if count != len(weight_map) or not count or _KEY in after:
        return None
    return SplitIndex(before + after, weight_map)


def _take(text: str, weight_map: dict[str, str], files: dict[str, str]) -> int:
    """Add a piece of the map; how many members it has.

    Raises:
        ValueError, TypeError: It is no piece of a JSON object of strings.
    """
    pairs: list[tuple[str, object]] = json.loads("{" + text + "}", object_pairs_hook=list)
    for name, place in pairs:
        if not isinstance(place, str):
            raise TypeError(name)
        weight_map[name] = files.setdefault(place, place)
    return len(pairs)
