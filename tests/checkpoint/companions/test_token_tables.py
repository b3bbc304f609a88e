"""tokenizer.json: added tokens have the ids that the tokenizers library and Transformers give."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from k2compat.checkpoint import validate
from k2compat.checkpoint.companions import token_tables
from k2compat.checkpoint.companions.special_tokens import FAMILY_IDS, REQUIRED
from k2compat.checkpoint.companions.token_tables import TokenTable, check_ranks, read_token_table
from k2compat.checkpoint.sources.source import open_file
from k2compat.samples import tiny_config
from tests.checkpoint.validations import bad
from tests.support.amount import examples
from tests.support.configs import config_values
from tests.support.drafts import draft
from tests.support.file_damage import put_fifo
from tests.support.memory_source import MemorySource, memory_source

Added = list[tuple[int, str]]

FAMILY: Added = [
    (number, next((token for token, of in FAMILY_IDS.items() if of == number), f"<|{number}|>"))
    for number in range(163_584, 163_840)
]
"""The 256 added tokens of the family's vocabulary, the reserved ones under names of our own."""


def added_tokens(added: Added) -> list[dict[str, Any]]:
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    return [{"id": number, "content": token, "special": True, **flags} for number, token in added]


def tokenizer_json(vocabulary: dict[str, int], added: Added) -> bytes:
    no_parts = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    document = {
        "version": "1.0",
        "added_tokens": added_tokens(added),
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False},
        "model": model,
        **no_parts,
    }
    return json.dumps(document).encode()


def fast(source: MemorySource, content: bytes, tokenizer: dict[str, Any]) -> MemorySource:
    """The same model with a fast tokenizer in place of tiktoken.model."""
    contents = {name: each for name, each in source.contents.items() if name != "tiktoken.model"}
    config = json.dumps(tokenizer).encode()
    contents["tokenizer.json"] = (content, len(content))
    contents["tokenizer_config.json"] = (config, len(config))
    return MemorySource("model", contents)


def read(content: bytes, tokenizer: dict[str, Any] | None = None) -> tuple[TokenTable, set[str]]:
    source = fast(memory_source(tiny_config()), content, {})
    table, findings = read_token_table(source, tokenizer or {})
    return table, {finding.code for finding in findings}


def judged(content: bytes, tokenizer: dict[str, Any] | None = None, **changes: Any) -> set[str]:
    """The codes for a model of the family's real vocabulary with this tokenizer.json."""
    full = config_values("moonshotai/Kimi-K2-Instruct")
    source = memory_source({**full, "num_hidden_layers": 1, **changes})
    return {finding.code for finding in bad(validate(fast(source, content, tokenizer or {})))}


@cache
def ordinary(count: int = 163_584) -> dict[str, int]:
    return {f"t{number}": number for number in range(count)}


names = st.sampled_from(["X", "Y", "Z", "<|im_end|>", "é", ""])
vocabularies = st.dictionaries(st.sampled_from(["a", "b", "c", "X", "Y"]), st.integers(0, 9))
lists = st.lists(st.tuples(st.integers(0, 12), names), max_size=5)


@example({"X": 1}, [(0, "X"), (0, "Y"), (0, "X")])  # Y takes the id of X, which takes it back
@given(vocabularies, lists)
def test_added_tokens_have_the_ids_of_the_tokenizers_library(
    vocabulary: dict[str, int], added: Added
) -> None:
    content = tokenizer_json(vocabulary, added)
    official = Tokenizer.from_str(content.decode())
    table, codes = read(content)
    assert {**table.tokens} == {
        number: token.content for number, token in official.get_added_tokens_decoder().items()
    }
    assert table.highest == max(official.get_vocab(with_added_tokens=True).values(), default=-1)
    is_used = all(official.token_to_id(token) == number for number, token in added if token)
    assert codes == (set() if is_used else {"token-id-unused"})


@settings(max_examples=examples(20), deadline=None)
@given(st.permutations("abc"), lists, st.dictionaries(st.integers(0, 12), names, max_size=4))
def test_tokens_of_both_files_have_the_ids_of_transformers(
    letters: list[str], added: Added, beside: dict[int, str]
) -> None:
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": {
            str(token.pop("id")): token for token in added_tokens(list(beside.items()))
        },
    }
    content = tokenizer_json(vocabulary, added)
    with TemporaryDirectory() as folder:
        Path(folder, "tokenizer.json").write_bytes(content)
        Path(folder, "tokenizer_config.json").write_text(json.dumps(tokenizer))
        loaded = PreTrainedTokenizerFast.from_pretrained(folder)
    table, _ = read(content, tokenizer)
    for token in ("X", "Y", "Z", "<|im_end|>", "é"):
        given_id = next((number for number, each in table.tokens.items() if each == token), None)
        assert loaded.convert_tokens_to_ids(token) == given_id
    assert len(loaded) == table.highest + 1


def test_the_familys_tokens_in_a_fast_tokenizer_are_sound() -> None:
    content = tokenizer_json(ordinary(), FAMILY)
    official = Tokenizer.from_str(content.decode())
    assert {token: official.token_to_id(token) for token in FAMILY_IDS} == FAMILY_IDS
    assert judged(content) == set()


def without(*tokens: str) -> Added:
    return [(number, token) for number, token in FAMILY if token not in tokens]


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("added", "codes"),
    [
        # The ids are right in the file, and the library gives others.
        (
            [(number, token) for number, token in FAMILY if token in FAMILY_IDS],
            {"special-token-id", "token-id-unused"},
        ),
        (FAMILY[::-1], {"special-token-id", "token-id-unused", "end-token"}),
        (without("<|tool_call_end|>"), {"special-token-missing", "special-token-id"}),
        ([], {"special-token-missing", "end-token"}),
        ([*FAMILY, (163_840, "<|new|>")], {"token-beyond-embedding"}),
    ],
)
def test_each_damage_is_one_that_the_tokenizers_library_has_too(
    added: Added, codes: set[str]
) -> None:
    content = tokenizer_json(ordinary(), added)
    found = judged(content, eos_token_id=FAMILY_IDS["<|im_end|>"])
    assert codes <= found <= {*codes, "token-id-unused"}
    official = Tokenizer.from_str(content.decode())
    ids = {marker: official.token_to_id(marker) for marker in FAMILY_IDS}
    assert ("special-token-missing" in found) == any(ids[marker] is None for marker in REQUIRED)
    wrong = [token for token, number in ids.items() if number not in (None, FAMILY_IDS[token])]
    assert ("special-token-id" in found) == bool(wrong)
    assert ("end-token" in found) == (official.id_to_token(163_586) != "<|im_end|>")
    is_beyond = official.get_vocab_size(with_added_tokens=True) > 163_840
    assert ("token-beyond-embedding" in found) == is_beyond


def test_a_cut_vocabulary_shifts_every_marker() -> None:
    content = tokenizer_json(ordinary(163_000), FAMILY)
    official = Tokenizer.from_str(content.decode())
    assert official.token_to_id("<|im_end|>") == 163_002
    assert judged(content) == {"special-token-id", "token-id-unused", "end-token"}


def test_ids_that_differ_between_the_files() -> None:
    decoder = {"1": {"content": "X"}, "4": {"content": "Y"}}
    content = tokenizer_json({"a": 0}, [(1, "X"), (2, "Y")])
    table, codes = read(content, {"added_tokens_decoder": decoder})
    assert codes == {"tokenizer-conflict"}
    assert table.tokens == {1: "X", 2: "Y"}


def test_the_python_of_tiktoken_follows_tokenizer_config() -> None:
    source = memory_source(tiny_config())
    content = tokenizer_json({"a": 0}, [(1, "[BOS]")])
    source.contents["tokenizer.json"] = (content, len(content))
    table, findings = read_token_table(source, {"added_tokens_decoder": {"7": {"content": "X"}}})
    assert (table.file, table.tokens, findings) == ("tokenizer_config.json", {7: "X"}, ())


def test_a_unigram_vocabulary_numbers_its_tokens_in_their_order() -> None:
    document = json.loads(tokenizer_json({}, [(5, "b"), (2, "X")]))
    document["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0], ["b", -1.5]]}
    content = json.dumps(document).encode()
    official = Tokenizer.from_str(content.decode())
    table, codes = read(content)
    assert {**table.tokens} == {
        number: token.content for number, token in official.get_added_tokens_decoder().items()
    }
    assert codes == {"token-id-unused"}


def changed(**members: object) -> bytes:
    """A tokenizer whose one added token has these members."""
    document = json.loads(tokenizer_json({"a": 0}, [(1, "X")]))
    token = {**document["added_tokens"][0], **members}
    document["added_tokens"] = [{key: each for key, each in token.items() if each != "absent"}]
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"{}", b'{"a\xff": 1}', b"[" * 100_000),
        b'{"model": {"vocab": {"a": "b"}}}',
        *(changed(id=number) for number in (-1, 1.5, 2**32, "1", "absent")),
        *(changed(special=value) for value in (None, 1, "absent")),
        changed(normalized="absent"),
        changed(content=1),
        tokenizer_json({"a": -1}, []),
        tokenizer_json({"a": 2**32}, []),
    ],
)
def test_a_file_that_the_tokenizers_library_refuses_is_damaged(content: bytes) -> None:
    with pytest.raises(Exception, match=r"Cannot instantiate|at line|[Dd]ata did"):
        Tokenizer.from_buffer(content)
    assert read(content)[1] == {"companion-damaged"}


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_tables, "TOKENIZER_BYTES_MAX", 10)
    assert judged(tokenizer_json(ordinary(), FAMILY)) == {"companion-too-large"}


def test_a_file_that_cannot_be_opened_is_reported_once(tmp_path: Path) -> None:
    draft().write(tmp_path)
    (tmp_path / "tiktoken.model").unlink()
    put_fifo(tmp_path / "tokenizer.json")
    assert [finding.code for finding in bad(validate(tmp_path))] == ["file-is-special"]


SOUND = b"".join(b"QUJD %d\n" % rank for rank in range(120))


def places(folder: Path, content: bytes) -> list[str]:
    path = folder / "tiktoken.model"
    path.write_bytes(content)
    with open_file(path) as file:
        return [finding.where.removeprefix(f"{path}: ") for finding in check_ranks(file)]


@pytest.mark.parametrize(
    "content",
    [
        SOUND,
        SOUND.rstrip(),
        SOUND.replace(b"\n", b"\r\n"),
        SOUND + b"\n",
        b"IQ== 0\nIg== 5\nIw== 900\n",  # ranks with gaps
    ],
)
def test_a_sound_one(tmp_path: Path, content: bytes) -> None:
    assert places(tmp_path, content) == []


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_last_line_that_was_cut(tmp_path: Path, cut: int) -> None:
    assert places(tmp_path, SOUND.rstrip()[:-cut]) == ["line 120"]


def test_what_is_no_vocabulary_is_named_once(tmp_path: Path) -> None:
    assert places(tmp_path, SOUND + b"\x00\xff\n!!\n") == ["line 121"]


def test_one_of_no_size_that_a_tokenizer_has_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_tables, "RANKS_BYTES_MAX", 3)
    assert places(tmp_path, b"damaged") == [str(tmp_path / "tiktoken.model")]
