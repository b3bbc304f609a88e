"""The talking model: sound by `validate`, and the same answers from each of its forms."""

import base64
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from k2compat.errors import RefusedError
from k2compat.samples.talking import FALLBACK, SCRIPTS, TOOLS, Script, write_talking_model
from k2compat.samples.talking.model import WeightForm
from k2compat.samples.talking.number_formats import bfloat16, block_scales, float8
from k2compat.samples.talking.tokenizer_files import Form as TokenizerForm
from k2compat.samples.talking.vocabulary import KEYWORDS_MAX, Vocabulary
from k2compat.toolcalls import marker_ids, parse
from tests.support.amount import examples
from tests.support.command import Result
from tests.support.deepseek_forward import Model, bfloat16_values, float8_values, read_weights
from tests.support.talking_models import prompt_of, talking_model

FORMS: list[WeightForm] = ["bf16", "fp8", "gguf"]
TOKENIZERS: list[TokenizerForm] = ["fast", "tiktoken"]
TOOL_MARKERS = [
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
]


@pytest.mark.sample(5)
@pytest.mark.parametrize("special_markers", [False, True])
@pytest.mark.parametrize(("form", "tokenizer"), list(itertools.product(FORMS, TOKENIZERS)))
def test_validate_calls_each_form_sound(
    form: WeightForm,
    tokenizer: TokenizerForm,
    special_markers: bool,
    command: Callable[..., Result],
) -> None:
    folder = talking_model(form, tokenizer=tokenizer, special_markers=special_markers)
    result = command("validate", folder, "--deep", "--json")
    assert result.code == 0
    assert {finding["severity"] for finding in result.document["findings"]} <= {"info"}


@pytest.mark.parametrize("joint_mla", [False, True])
def test_validate_calls_both_layouts_of_the_gguf_sound(
    joint_mla: bool, command: Callable[..., Result]
) -> None:
    assert command("validate", talking_model("gguf", joint_mla=joint_mla), "--deep").code == 0


def test_the_weights_of_fp8_are_those_of_bf16() -> None:
    exact, rounded = read_weights(talking_model("fp8")), read_weights(talking_model("bf16"))
    assert exact.keys() == rounded.keys()
    for name, tensor in exact.items():
        assert np.array_equal(tensor, rounded[name]), name


@pytest.fixture(scope="module", params=["bf16", "fp8"])
def forward(request: pytest.FixtureRequest) -> Model:
    """The checkpoint in a forward pass that shares no code with the samples."""
    return Model(talking_model(request.param))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """The tokenizers library's reading of tokenizer.json."""
    return Tokenizer.from_file(str(talking_model() / "tokenizer.json"))


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(SCRIPTS, special_markers=False)


@pytest.mark.sample(5)
@pytest.mark.parametrize("keyword", SCRIPTS)
def test_a_forward_pass_replays_each_script(
    keyword: str, forward: Model, tokenizer: Tokenizer, vocabulary: Vocabulary
) -> None:
    """Greedy generation: each token of the answer is the likeliest one behind those before it."""
    prompt = tokenizer.encode(prompt_of(keyword, thinking=SCRIPTS[keyword].is_prefilled)).ids
    answer = vocabulary.answers[keyword]
    logits = forward.logits([*prompt, *answer])[len(prompt) - 1 : -1]
    assert logits.argmax(-1).tolist() == answer
    right = logits[np.arange(len(answer)), answer].copy()
    logits[np.arange(len(answer)), answer] = -np.inf
    # At temperature 1 another token comes once in e^16 = 9 million tokens.
    assert (right - logits.max(-1)).min() > 16


@settings(max_examples=examples(10))
@given(words=st.text("abcdefghij ?!天气", min_size=1))
def test_any_other_word_gets_the_fallback(words: str) -> None:
    folder = talking_model()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = _model(str(folder))
    answer = Vocabulary(SCRIPTS, special_markers=False).fallback
    prompt = tokenizer.encode(prompt_of(words)).ids
    logits = model.logits([*prompt, *answer])[len(prompt) - 1 : -1]
    assert logits.argmax(-1).tolist() == answer


_models: dict[str, Model] = {}


def _model(folder: str) -> Model:
    return _models.setdefault(folder, Model(Path(folder)))


@pytest.mark.parametrize("keyword", SCRIPTS)
def test_a_well_formed_script_has_no_problem(keyword: str) -> None:
    script = SCRIPTS[keyword]
    message = parse(script.text, TOOLS, reasoning=script.reasoning)
    assert not message.problems or not script.is_well_formed
    assert all(call.complete for call in message.tool_calls) or keyword == "@broken"


class TestTheTokenizer:
    def test_answers_decode_to_the_scripts(
        self, tokenizer: Tokenizer, vocabulary: Vocabulary
    ) -> None:
        for keyword, answer in vocabulary.answers.items():
            decoded = tokenizer.decode(answer, skip_special_tokens=False)
            assert decoded == SCRIPTS[keyword].text + "<|im_end|>"
        assert tokenizer.decode(vocabulary.fallback) == FALLBACK.text

    def test_special_markers_vanish_where_special_tokens_are_skipped(
        self, vocabulary: Vocabulary
    ) -> None:
        file = talking_model(special_markers=True) / "tokenizer.json"
        decoded = Tokenizer.from_file(str(file)).decode(vocabulary.answers["@only"])
        assert decoded == 'functions.get_weather:0{"city": "Oslo"}'

    @given(text=st.text())
    def test_any_text_is_encoded_without_loss(self, text: str) -> None:
        tokenizer = Tokenizer.from_file(str(talking_model() / "tokenizer.json"))
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text

    def test_a_quoted_marker_is_no_marker_token(self, vocabulary: Vocabulary) -> None:
        ends = vocabulary.answers["@quote"].count(vocabulary.id_of("<|tool_call_end|>"))
        assert ends == 1
        assert SCRIPTS["@quote"].text.count("<|tool_call_end|>") == 2

    def test_markers_have_the_distance_to_bos_that_kimi_k2_has(self) -> None:
        config = json.loads((talking_model() / "tokenizer_config.json").read_text())
        ids = {content: number for number, content in marker_ids(config).items()}
        first = len(Vocabulary(SCRIPTS, special_markers=False).ordinary)
        assert {marker: 163584 + ids[marker] - first for marker in ids} == {
            "[EOS]": 163585,
            "<|im_end|>": 163586,
            "[EOT]": 163593,
            **dict(zip(TOOL_MARKERS, range(163595, 163600), strict=True)),
            "<think>": 163606,
            "</think>": 163607,
        }

    @pytest.mark.parametrize("special_markers", [False, True])
    def test_the_switch_makes_markers_special(self, special_markers: bool) -> None:
        folder = talking_model(special_markers=special_markers)
        config = json.loads((folder / "tokenizer_config.json").read_text())
        flags = {
            token["content"]: token["special"] for token in config["added_tokens_decoder"].values()
        }
        assert {flags[marker] for marker in TOOL_MARKERS} == {special_markers}
        assert not flags["<think>"]
        assert flags["<|im_end|>"]

    def test_tiktokens_table_holds_the_same_tokens(self, vocabulary: Vocabulary) -> None:
        lines = (talking_model(tokenizer="tiktoken") / "tiktoken.model").read_bytes().splitlines()
        ranks = {int(rank): base64.b64decode(token) for token, rank in map(bytes.split, lines)}
        assert list(ranks) == list(range(len(vocabulary.ordinary)))
        assert tuple(ranks.values()) == vocabulary.ordinary
        assert len(set(ranks.values())) == len(ranks)
        for keyword, answer in vocabulary.answers.items():
            decoded = b"".join(
                ranks.get(token, b"") or vocabulary.bytes_of(token) for token in answer
            )
            assert decoded.decode() == SCRIPTS[keyword].text + "<|im_end|>"

    def test_no_piece_is_the_text_of_an_added_token(self) -> None:
        vocabulary = Vocabulary({"@a": Script(("tooluser" * 50,))}, special_markers=False)
        tokens = [vocabulary.bytes_of(token) for token in range(len(vocabulary))]
        assert len(set(tokens)) == len(tokens)

    def test_pieces_are_cut_inside_characters(self, vocabulary: Vocabulary) -> None:
        pieces = [vocabulary.bytes_of(token) for token in vocabulary.answers["@two"]]
        assert any(piece[0] & 0xC0 == 0x80 for piece in pieces)


LARGEST_BFLOAT16 = 2.0**128 - 2.0**120


class TestNumberFormats:
    @given(st.floats(-LARGEST_BFLOAT16, LARGEST_BFLOAT16, width=32))
    def test_bfloat16_is_the_nearest_number(self, value: float) -> None:
        (found,) = bfloat16_values(bfloat16(np.array([value], np.float32)).tobytes())
        # Eight bits of precision; below 2^-126 the distance of neighbours stays the same.
        assert abs(float(found) - value) <= max(abs(value) * 2.0**-8, 2.0**-133)

    @given(st.floats(LARGEST_BFLOAT16, float(np.finfo(np.float32).max), width=32))
    def test_bfloat16_beyond_its_largest_number_is_that_or_infinite(self, value: float) -> None:
        """The half way to what would be the next number, 2^128, belongs to infinity."""
        found = bfloat16_values(bfloat16(np.array([value, -value], np.float32)).tobytes())
        rounded = LARGEST_BFLOAT16 if value < (LARGEST_BFLOAT16 + 2.0**128) / 2 else np.inf
        assert found.tolist() == [rounded, -rounded]

    def test_float8_returns_what_its_bits_hold(self) -> None:
        # Every number but the two NaNs, over blocks of all scales.
        numbers = [bits for bits in range(256) if bits & 127 != 127]
        bits = np.resize(np.array(numbers, np.uint8), (130, 257))
        scales = block_scales(bits.shape)
        blocks = np.kron(scales, np.ones((128, 128), np.float32))[:130, :257]
        values = float8_values(bits.tobytes()).reshape(bits.shape) * blocks
        assert float8(values, scales).tobytes() == bits.tobytes()

    @pytest.mark.parametrize("value", [1.0625, 480.0, 2.0**-10])
    def test_a_number_that_float8_cannot_hold_is_refused(self, value: float) -> None:
        with pytest.raises(ValueError, match="more bits than FP8 has"):
            float8(np.full((1, 1), value, np.float32), np.ones((1, 1), np.float32))


class TestScriptsOfOnesOwn:
    def test_they_replace_the_others(self, tmp_path: Path) -> None:
        scripts = {"@mine": Script(("My own text.",))}
        write_talking_model(tmp_path / "model", scripts=scripts)
        vocabulary = Vocabulary(scripts, special_markers=False)
        tokenizer = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
        prompt, answer = tokenizer.encode(prompt_of("@mine")).ids, vocabulary.answers["@mine"]
        logits = Model(tmp_path / "model").logits([*prompt, *answer])
        assert logits[len(prompt) - 1 : -1].argmax(-1).tolist() == answer

    def test_a_folder_with_files_is_refused_and_untouched(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("mine")
        with pytest.raises(RefusedError, match="is not empty"):
            write_talking_model(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["config.json"]

    def test_too_many_are_refused(self, tmp_path: Path) -> None:
        scripts = {f"@{number}": Script(("text",)) for number in range(KEYWORDS_MAX + 1)}
        with pytest.raises(ValueError, match=f"{KEYWORDS_MAX + 1} scripts: more than"):
            write_talking_model(tmp_path / "model", scripts=scripts)
        assert not list((tmp_path / "model").iterdir())

    def test_the_same_tokens_before_different_ones_are_refused(self, tmp_path: Path) -> None:
        marker = "<|tool_call_end|>"
        with pytest.raises(ValueError, match="the same nine tokens before them"):
            write_talking_model(tmp_path / "m", scripts={"@a": Script((marker,) * 20)})

    def test_more_than_the_model_can_remember_is_refused(self, tmp_path: Path) -> None:
        """300 tokens of five kinds in no order: no sum over the last nine tells the next."""
        parts = random.Random(1).choices(TOOL_MARKERS, k=300)
        with pytest.raises(ValueError, match="too many or too much alike"):
            write_talking_model(tmp_path / "m", scripts={"@a": Script(tuple(parts))})
