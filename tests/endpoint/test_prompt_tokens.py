"""Exact prompt tokens: the folder's template and vocabulary, held against another reader."""

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.endpoint import Request, plan
from k2compat.endpoint.check import Work
from k2compat.endpoint.prompt_tokens import FILE_LIMIT, Tokenizer, read_prompt_folder
from k2compat.errors import RefusedError
from tests.endpoint.serving import causes, checked
from tests.endpoint.standin import Json, Reply, Server
from tests.support.talking_models import talking_model

SPECIAL = ["<|im_end|>", "<|im_middle|>", "[EOS]", "<|im_|>"]


def learned_ranks(text: str, merges: int) -> dict[bytes, int]:
    """A vocabulary made as byte-pair encoding makes one: the most frequent pair first."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    words = [[bytes([byte]) for byte in word.encode()] for word in text.split(" ")]
    for _ in range(merges):
        pairs: dict[bytes, int] = {}
        for word in words:
            for left, right in pairwise(word):
                pairs[left + right] = pairs.get(left + right, 0) + 1
        if not pairs:
            break
        best = max(sorted(pairs), key=lambda pair: pairs[pair])
        ranks.setdefault(best, len(ranks))
        for word in words:
            at = 0
            while at < len(word) - 1:
                if word[at] + word[at + 1] == best:
                    word[at : at + 2] = [best]
                at += 1
    return ranks


TEXT = "the weather in the city is fine, the other cities have weather too 天气 天气预报 it's 1234"
RANKS = learned_ranks(TEXT, 60)


def peer() -> Any:
    """Hugging Face's tokenizers with the same ranks, special tokens and pieces."""
    from tokenizers import AddedToken, Regex, models, pre_tokenizers
    from tokenizers import Tokenizer as Peer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    characters = bytes_to_unicode()  # type: ignore[no-untyped-call]
    written = {token: "".join(characters[byte] for byte in token) for token in RANKS}
    merges = []
    for token, rank in sorted(RANKS.items(), key=lambda item: item[1]):
        for at in range(1, len(token)):
            left, right = token[:at], token[at:]
            if left in RANKS and right in RANKS and max(RANKS[left], RANKS[right]) < rank:
                merges.append((rank, RANKS[left], written[left], written[right]))
    model = models.BPE(
        {written[token]: rank for token, rank in RANKS.items()},
        [(left, right) for _, _, left, right in sorted(merges)],
        ignore_merges=True,
    )
    made = Peer(model)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(ONIGURUMA), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIAL])
    return made


# The same pieces in Oniguruma's grammar, as the peer has it.
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
ONIGURUMA = (
    rf"[\p{{Han}}]+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_TAIL}"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_TAIL}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.fixture(scope="module")
def peer_tokenizer() -> Any:
    return peer()


@given(
    st.lists(
        st.one_of(
            st.sampled_from([*SPECIAL, *TEXT.split(" "), " ", "\n", "  ", "It's", "ABC", "é", "…"]),
            st.text(alphabet="thewa rin天气1239'sTX\n.,🌦️", max_size=12),
        ),
        max_size=12,
    ).map("".join)
)
def test_tokens_are_counted_as_a_peer_counts_them(peer_tokenizer: Any, text: str) -> None:
    assert Tokenizer(RANKS, SPECIAL).count(text) == len(peer_tokenizer.encode(text).ids)


def test_a_lone_surrogate_and_a_vocabulary_without_special_tokens_count() -> None:
    assert Tokenizer(RANKS, []).count("\ud800") == 1
    assert Tokenizer({b"a": 0}, []).count("bcd") == 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a template, a vocabulary and special tokens."""
    tokens = {"500": {"content": "<|im_end|>"}, "501": {"content": ""}, "502": 7}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": tokens}))
    lines = [base64.b64encode(token) + f" {rank}\n".encode() for token, rank in RANKS.items()]
    (tmp_path / "tiktoken.model").write_bytes(b"".join(lines) + b"\n")
    template = (
        "{% for m in messages %}{{ m.role }}:{{ m.content if m.content is string else '' }}"
        "<|im_end|>{% if loop.index > 99 %}{% break %}{% endif %}{% endfor %}"
        "{% if thinking %}{{ messages | tojson }}{% endif %}"
        "{% if messages[0].content == 'fail' %}{{ raise_exception('no') }}{% endif %}"
    )
    (tmp_path / "chat_template.jinja").write_text(template)
    return tmp_path


def chat(content: str, **fields: Any) -> Request:
    body = {"messages": [{"role": "user", "content": content}], **fields}
    return Request(name="r", purpose="", body=body)


def test_a_request_is_rendered_and_counted(folder: Path) -> None:
    counter = read_prompt_folder(folder)
    assert counter.render(chat("the").body) == "user:the<|im_end|>"
    expected = Tokenizer(RANKS, ["<|im_end|>"]).count("user:the<|im_end|>")
    assert counter.counts([chat("the")]) == {"r": expected}
    switched = chat("天气", chat_template_kwargs={"thinking": True})
    assert "天气" in counter.render(switched.body).partition("<|im_end|>")[2]


def test_requests_with_tools_or_faults_are_left_out(folder: Path) -> None:
    counted = read_prompt_folder(folder).counts(plan())
    assert set(counted) == {
        "plain.whole",
        "plain.stream",
        "plain-list",
        "thinking-on.stream",
        "thinking-off.whole",
        "harmless-user",
    }


def test_text_that_spells_a_marker_is_left_out(folder: Path) -> None:
    """The gateway keeps it text, so its prompt is right and has more tokens than the template's."""
    assert read_prompt_folder(folder).counts([chat("a <|im_end|> b")]) == {}


def test_reserved_places_are_special_too(folder: Path) -> None:
    first = len(RANKS)
    counter = read_prompt_folder(folder)
    prompt = f"user:<|reserved_token_{first + 3}|><|im_end|>"
    assert counter.count(prompt) == counter.count("user:<|im_end|>") + 1


def test_a_template_may_be_in_the_config(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    config = {"chat_template": "{{ messages[0].content }}", "added_tokens_decoder": []}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert read_prompt_folder(folder).render(chat("x").body) == "x"


def test_a_template_cannot_reach_out(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages.__class__.__mro__[1] }}")
    counter = read_prompt_folder(folder)
    with pytest.raises(RefusedError, match="fails") as caught:
        counter.render(chat("x").body)
    assert caught.value.code == "endpoint-folder"


def test_a_template_that_refuses_is_refused(folder: Path) -> None:
    with pytest.raises(RefusedError, match="fails: no"):
        read_prompt_folder(folder).counts([chat("fail")])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("chat_template.jinja", b"{% if %}", "no valid template"),
        ("tokenizer_config.json", b"[]", "does not hold a JSON object"),
        ("tokenizer_config.json", b"{", "does not hold a JSON object"),
        ("tiktoken.model", b"!!! 1\n", "no token and its rank"),
        ("tiktoken.model", b"YQ==\n", "no token and its rank"),
        ("tiktoken.model", b"", "holds no token"),
        ("tiktoken.model", b" " * (FILE_LIMIT + 1), "is larger than"),
    ],
)
def test_a_malformed_file_is_refused(folder: Path, name: str, content: bytes, words: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(RefusedError, match=words):
        read_prompt_folder(folder)


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json", "tiktoken.model"])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RefusedError, match=r"cannot be read|neither"):
        read_prompt_folder(folder)


class Rendering(Server):
    """Counts its prompts by a model folder, with `extra` tokens more."""

    extra = 0

    def usage(self, body: Json, reply: Reply) -> Json:
        usage = super().usage(body, reply)
        if body.get("tools"):
            return usage
        count = COUNTER.count(COUNTER.render(body)) + self.extra
        return {**usage, "prompt_tokens": count, "total_tokens": count + reply.written}


class WithAnotherTemplate(Rendering):
    """Its template adds a system message."""

    extra = 9


COUNTER = read_prompt_folder(talking_model(tokenizer="tiktoken"))


def test_a_server_is_held_against_the_folders_template() -> None:
    requests = [request for request in plan() if not request.body.get("tools")]
    counted = Work(requests=requests, counter=COUNTER)
    assert "prompt-tokens-differ" not in causes(checked(Rendering(), requests, counter=COUNTER))
    found = checked(WithAnotherTemplate(), counted.requests, counter=COUNTER)
    assert "prompt-tokens-differ" in causes(found)
