"""JSON from and for the wire."""

import json
import math

import pytest

from k2compat.gateway.json_text import DIGITS_MAX, InvalidJsonError, decode, encode


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "天"]}, 10**30, 5e-324, "", []])
def test_what_is_written_is_read_again(value: object) -> None:
    assert decode(encode(value)) == value == json.loads(encode(value))


def test_lone_surrogates_pass_as_escapes() -> None:
    assert decode(b'["\\ud800", 1.5]') == ["\ud800", 1.5]
    assert encode({"a": "\ud800天"}) == b'{"a":"\\ud800\\u5929"}'


@pytest.mark.parametrize(
    "text", [b"", b"{", b"NaN", b"[Infinity]", b"1e999", b"[" * 100_000, b"\xff", b'{"a":1}}']
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidJsonError):
        decode(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-32-be"])
def test_only_utf_8_is_read(encoding: str) -> None:
    with pytest.raises(InvalidJsonError):
        decode('{"a": "<|im_end|>"}'.encode(encoding))


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert decode(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_what_json_cannot_write_is_refused() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(InvalidJsonError):
        encode(nested)
    with pytest.raises(InvalidJsonError):
        encode(["\ud800", math.inf])


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_whole_number_has_a_largest_length(sign: str) -> None:
    longest = sign + "7" * DIGITS_MAX
    assert encode(decode(f"[{longest}]")) == f"[{longest}]".encode()
    with pytest.raises(InvalidJsonError, match="holds a whole number of more than 4300 digits"):
        decode(f"[{longest}7]")
