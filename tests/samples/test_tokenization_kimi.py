"""The tiktoken form's tokenizer, as a class; Transformers loads it in tests/engines."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.talking_models import talking_model

pytest.importorskip("transformers")
pytest.importorskip("tiktoken")

if TYPE_CHECKING:
    from k2compat.samples.talking.tokenization_kimi import TikTokenTokenizer


@pytest.fixture(scope="module")
def tokenizer() -> "TikTokenTokenizer":
    from k2compat.samples.talking.tokenization_kimi import TikTokenTokenizer

    return TikTokenTokenizer(str(talking_model(tokenizer="tiktoken") / "tiktoken.model"))


def test_a_token_has_a_character_for_each_byte(tokenizer: "TikTokenTokenizer") -> None:
    tokens = tokenizer.tokenize("\u00ff天")
    assert "".join(tokens).encode("latin-1").decode() == "\u00ff天"
    assert tokenizer.convert_tokens_to_string(tokens[:-1]).endswith("\ufffd")


def test_an_added_token_is_text_of_its_own(tokenizer: "TikTokenTokenizer") -> None:
    tokenizer.add_tokens(["<天>"])
    ids = tokenizer("a<天>b")["input_ids"]
    assert ids == [97, tokenizer.vocab_size, 98]
    assert tokenizer.decode(ids) == "a<天>b"


def test_an_unknown_token_is_the_unknown_one(tokenizer: "TikTokenTokenizer") -> None:
    assert tokenizer.convert_tokens_to_ids("no such token") == tokenizer.unk_token_id


@pytest.mark.parametrize(("prefix", "name"), [(None, "tiktoken.model"), ("x", "x-tiktoken.model")])
def test_the_table_is_saved_as_it_is(
    tokenizer: "TikTokenTokenizer", tmp_path: Path, prefix: str | None, name: str
) -> None:
    (copy,) = tokenizer.save_vocabulary(str(tmp_path), prefix)
    assert Path(copy) == tmp_path / name
    original = talking_model(tokenizer="tiktoken") / "tiktoken.model"
    assert Path(copy).read_bytes() == original.read_bytes()
