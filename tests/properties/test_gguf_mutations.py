"""Whatever happens to the bytes of a GGUF file, reading it gives a header, never an exception."""

import contextlib
import struct
import warnings
from pathlib import Path

import pytest
from gguf import GGUFReader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k2compat.checkpoint.engines.verdicts import Judged, engine_verdicts
from k2compat.checkpoint.gguf_files.comparison import compare_gguf
from k2compat.checkpoint.gguf_files.header import GgufArray, GgufHeader, parse_gguf, read_gguf
from k2compat.samples import tiny_config
from tests.checkpoint.gguf_files.gguf_bytes import ARRAY, BOOL, STRING, UINT8, Bytes, Tensor
from tests.checkpoint.gguf_files.gguf_models import tiny
from tests.checkpoint.gguf_files.test_header import agree, write
from tests.support.amount import examples

B = Bytes()
INTERESTING = [0, 1, 2, 5, 8, 9, 13, 31, 32, 64, 255, 2**16, 2**31, 2**32 - 1, 2**62, 2**64 - 1]

handmade = st.builds(
    B.file,
    keys=st.just(
        [
            B.key("general.architecture", STRING, B.string("deepseek2")),
            B.key("a.tokens", ARRAY, B.array(STRING, 3, B.string("a") + B.string("") * 2)),
            B.key("a.nested", ARRAY, B.array(ARRAY, 2, B.array(UINT8, 2, b"ab") * 2)),
            B.key("a.flag", BOOL, b"\1"),
        ]
    ),
    tensors=st.just([Tensor("a"), Tensor("b", [32, 2], 8, 128)]),
    data=st.just(256),
)


@st.composite
def mutations(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with up to four places overwritten, cut out, doubled or cut off."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.integers(1, 16))
        match draw(st.integers(0, 4)):
            case 0:
                piece = draw(st.binary(min_size=1, max_size=8))
                content = content[:at] + piece + content[at + len(piece) :]
            case 1:
                piece = struct.pack("<Q", draw(st.sampled_from(INTERESTING)))
                content = content[:at] + piece + content[at + 8 :]
            case 2:
                content = content[:at] + content[at + length :]
            case 3:
                content = content[: at + length] + content[at:]
            case _:
                content = content[:at]
    return content


def check(header: GgufHeader | None) -> None:
    assert header is not None
    for value in header.metadata.values():
        if isinstance(value, GgufArray):
            drain(value)
    for finding in header.findings:
        assert finding.where.startswith("x.gguf")
        assert all(str(shown).isprintable() for shown in finding.as_dict().values())
    for tensor in header.tensors:
        assert tensor.start >= header.data_offset


def drain(array: GgufArray) -> None:
    elements = list(array)
    assert len(elements) == array.count
    for element in elements:
        if isinstance(element, GgufArray):
            drain(element)


TINY = tiny()
TINY_BYTES, TINY_DATA = TINY.parts()


@given(content=mutations(TINY_BYTES))
@settings(max_examples=examples(100), deadline=None)
def test_a_mutated_model_is_always_compared(content: bytes) -> None:
    size = len(content) + TINY_DATA
    header = parse_gguf(content, path="x.gguf", file_size=size)
    if header is None:  # the mutation made the header longer than what is left of it
        header = parse_gguf(content + bytes(TINY_DATA), path="x.gguf", file_size=size)
    assert header is not None
    compare_always({"x.gguf": header})


changed_values = st.one_of(
    st.tuples(st.just("uint32"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("uint32"), st.integers(0, 600)),
    st.tuples(st.just("int64"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("float32"), st.floats(width=32)),
    st.tuples(st.just("string"), st.text(max_size=5)),
    st.tuples(
        st.just("array"),
        st.tuples(st.just("int32"), st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3)),
    ),
)


@given(
    changes=st.dictionaries(st.sampled_from(list(TINY.metadata)), changed_values, max_size=4),
    dropped=st.sets(st.sampled_from([*TINY.metadata, *TINY.tensors]), max_size=3),
    shapes=st.dictionaries(
        st.sampled_from(list(TINY.tensors)),
        st.lists(st.sampled_from([0, 1, 32, 256, 2**12]), max_size=4),
        max_size=3,
    ),
    config=st.dictionaries(
        st.sampled_from([*tiny_config(), "text_config", "model_type"]),
        st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3), st.just({})),
        max_size=4,
    ),
)
@settings(max_examples=examples(150), deadline=None)
def test_any_values_and_shapes_are_compared(
    changes: dict[str, tuple[str, object]],
    dropped: set[str],
    shapes: dict[str, list[int]],
    config: dict[str, object],
) -> None:
    model = tiny()
    model.metadata |= changes
    for name, dimensions in shapes.items():
        model.shape(name, *dimensions)
    model.without(*dropped)
    compare_always({"x.gguf": model.header("x.gguf")}, {**tiny_config(), **config})


def compare_always(headers: dict[str, GgufHeader], config: dict[str, object] | None = None) -> None:
    comparison = compare_gguf(headers, config)
    for finding in comparison.findings:
        assert finding.where.startswith("x.gguf") or finding.where == "."
        assert all(str(shown).isprintable() for shown in finding.as_dict().values())
    assert comparison.tensors == sum(len(header.tensors) for header in headers.values())
    codes = frozenset(finding.code for finding in comparison.findings)
    list(engine_verdicts(Judged("model.gguf", "gguf", headers=headers, found=codes)))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "model.gguf"
    write(path, alignment=32)
    return path.read_bytes()


@given(st.data())
@settings(max_examples=examples(250), deadline=None)
def test_mutated_files_are_always_read(data: st.DataObject) -> None:
    content = data.draw(handmade.flatmap(mutations))
    check(parse_gguf(content, path="x.gguf", file_size=len(content)))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_after_the_magic_are_read(rest: bytes) -> None:
    content = b"GGUF\3\0\0\0" + rest
    check(parse_gguf(content, path="x.gguf", file_size=len(content)))


@given(data=st.data())
@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_is_called_sound_the_official_reader_reads_alike(
    data: st.DataObject, sound: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(data.draw(mutations(sound)))
    header = read_gguf(path)
    if header.findings:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        reader = GGUFReader(path)
    # Elements of arrays are decoded on demand, so their encoding was not judged.
    with contextlib.suppress(UnicodeDecodeError):
        agree(header, reader)


@given(st.data())
@settings(max_examples=examples(200), deadline=None)
def test_a_prefix_never_says_anything_else_than_the_whole(data: st.DataObject) -> None:
    content = data.draw(handmade.flatmap(mutations))
    whole = parse_gguf(content, path="x.gguf", file_size=len(content))
    length = data.draw(st.integers(0, len(content)))
    prefix = parse_gguf(content[:length], path="x.gguf", file_size=len(content))
    assert prefix is None or prefix == whole
