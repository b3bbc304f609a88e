"""A config's bytes as text and as values, or the reason why they are neither."""

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2compat.errors import RefusedError
from k2compat.files import reading
from k2compat.findings import Codes, Finding
from k2compat.printable import counted

# Real configs have 2 to 40 KB; NVFP4 ignore lists make the largest.
MAXIMUM_BYTES = 16 * 1024 * 1024

_codes = Codes("config")


@dataclass(frozen=True, slots=True)
class ConfigText:
    """A config that parsed.

    Attributes:
        text: The document without its byte order mark.
        byte_order_mark: The mark's bytes, or none.
        members: The parsed top-level object; of repeated keys the last one counts.
    """

    text: str
    byte_order_mark: bytes
    members: Mapping[str, Any]

    def with_replacement(self, start: int, end: int, replacement: str) -> bytes:
        """The document's bytes with text[start:end] replaced; all others as they were."""
        text = self.text[:start] + replacement + self.text[end:]
        return self.byte_order_mark + text.encode()

    def byte_order_mark_findings(self, where: str, file: Path | None) -> tuple[Finding, ...]:
        """A finding where the document begins with a byte order mark.

        Args:
            where: The file's name, for the finding.
            file: The file that the fix edits; None where it is on the Hub.
        """
        if not self.byte_order_mark:
            return ()
        finding = _codes.finding(
            "config-byte-order-mark",
            where,
            "The file begins with a byte order mark, which Transformers refuses.",
            fix=None if file is None else ("sed", "-i", r"1s/^\xEF\xBB\xBF//", file),
        )
        return (finding,)


def read_text(data: bytes, where: str) -> ConfigText:
    """Read a config.

    The text may be anything that Python's json module reads (also NaN and Infinity), because every
    engine reads a config with it.

    Args:
        data: The file's bytes.
        where: The file's name, for the message.

    Raises:
        RefusedError: config-too-large, config-not-utf8, config-not-json or config-not-object.
    """
    if len(data) > MAXIMUM_BYTES:
        raise RefusedError(
            "config-too-large",
            f"{where} has {counted(len(data), 'byte')}; no model's config has more than "
            f"{MAXIMUM_BYTES}.",
            hint="Name the model's config.json, or the folder that holds it.",
        )
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    text = _decode(data[len(mark) :], where, offset=len(mark))
    with reading(where):
        members = _parse(text, where)
    if not isinstance(members, dict):
        raise RefusedError(
            "config-not-object",
            f"{where} holds a JSON {_kind(members)}, not an object.",
            hint="Fetch the model's config.json again: it is one object.",
        )
    return ConfigText(text, mark, members)


def _decode(data: bytes, where: str, *, offset: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(
            "config-not-utf8",
            f"{where} is not UTF-8: byte {offset + error.start} cannot be decoded.",
            hint="Fetch the file again, or convert it: iconv -f UTF-16 -t UTF-8 IN > OUT",
        ) from error


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RefusedError(
            "config-not-json",
            f"{where} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            hint="Correct that place, or fetch the file again.",
        ) from error
    except (RecursionError, ValueError) as error:
        # ValueError: an integer with more digits than Python converts.
        raise RefusedError(
            "config-not-json",
            f"{where} is nested too deeply or holds a number too long to be a config.",
            hint="Fetch the file again.",
        ) from error


def _kind(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
