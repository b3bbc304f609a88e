"""Folders with which a model loads and talks nonsense: each damage is found by its code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k2compat.checkpoint import validate
from k2compat.samples import checkpoint_files, tiny_config
from k2compat.samples.checkpoint import vocabulary_bytes
from k2compat.samples.talking.tokenizer_files import CHAT_TEMPLATE
from tests.checkpoint.validations import bad
from tests.support.configs import config_values
from tests.support.drafts import draft
from tests.support.file_damage import put_fifo
from tests.support.memory_source import MemorySource, memory_source

Files = dict[str, Any]
"""Contents of the small files, JSON ones as objects."""

NAMES = ("config.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")


def judged(damage: Callable[[Files], object], config: dict[str, Any] | None = None) -> list[str]:
    source = memory_source(tiny_config() if config is None else config)
    files: Files = {
        name: json.loads(source.contents[name][0])
        if name.endswith(".json")
        else source.contents[name][0].decode()
        for name in NAMES
    }
    damage(files)
    contents = {name: each for name, each in source.contents.items() if name not in NAMES}
    for name, value in files.items():
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        contents[name] = (data, len(data))
    found = bad(validate(MemorySource("model", contents)))
    return [finding.code for finding in found if not finding.code.startswith("file-")]


def shift_ids(files: Files) -> None:
    added = files["tokenizer_config.json"]["added_tokens_decoder"]
    files["tokenizer_config.json"]["added_tokens_decoder"] = {
        str(int(number) + 1): token for number, token in added.items()
    }
    files["config.json"] |= {"bos_token_id": 163585, "eos_token_id": 163586}


def drop_call_markers(files: Files) -> None:
    added = files["tokenizer_config.json"]["added_tokens_decoder"]
    del added["269"], added["270"]


def rope(**changes: object) -> Callable[[Files], None]:
    def damage(files: Files) -> None:
        files["config.json"]["rope_scaling"] |= changes

    return damage


def config(**changes: object) -> Callable[[Files], None]:
    return lambda files: files["config.json"].update(changes)


def template(text: str) -> Callable[[Files], None]:
    return lambda files: files.update({"chat_template.jinja": text})


def transformers_5(files: Files) -> None:
    """As Transformers 5 saves it."""
    scaling = files["config.json"].pop("rope_scaling")
    theta = files["config.json"].pop("rope_theta")
    files["config.json"]["rope_parameters"] = {**scaling, "rope_theta": theta}


def both_rope_members(files: Files) -> None:
    scaling = files["config.json"]["rope_scaling"]
    files["config.json"]["rope_parameters"] = {**scaling, "factor": 64.0, "rope_theta": 50000.0}


GOOD = checkpoint_files()["chat_template.jinja"].decode()
DAMAGED: dict[str, tuple[Callable[[Files], object], str]] = {
    "a tokenizer of another model": (
        lambda files: files["tokenizer_config.json"].update(tokenizer_class="LlamaTokenizerFast"),
        "tokenizer-foreign",
    ),
    "a tokenizer without its call markers": (drop_call_markers, "special-token-missing"),
    "an end token of another model": (config(eos_token_id=1), "end-token"),
    "an end token that ends no turn": (config(eos_token_id=[258, 267]), "end-token"),
    "a first token of another model": (config(bos_token_id=0), "end-token"),
    "an end token of another model, by name": (
        lambda files: files["tokenizer_config.json"].update(eos_token="<|im_middle|>"),
        "end-token",
    ),
    "a first token of another model, as an object": (
        lambda files: files["tokenizer_config.json"].update(bos_token={"content": "<s>"}),
        "end-token",
    ),
    "an end token in the generation config": (
        lambda files: files["generation_config.json"].update(eos_token_id=151645),
        "end-token",
    ),
    "no template": (lambda files: files.pop("chat_template.jinja"), "chat-template-missing"),
    "a cut template": (template(GOOD[:60]), "chat-template-damaged"),
    "a template nested too deep": (template("{{" + "(" * 5000), "chat-template-damaged"),
    "another family's template": (
        template("{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"),
        "chat-template-foreign",
    ),
    "a template for strings alone": (
        template("<|im_middle|>{{ messages[0].content }}<|im_end|>"),
        "chat-template-old",
    ),
    "a template without separators": (template(GOOD + "{{ tools | tojson }}"), "chat-template-old"),
    "a template that counts calls": (
        template(GOOD + "<|tool_call_begin|>functions.{{ name }}:{{ loop.index0 }}"),
        "chat-template-old",
    ),
    "two templates": (
        lambda files: files["tokenizer_config.json"].update(chat_template=GOOD + "x"),
        "chat-template-conflict",
    ),
    "lost rope scaling": (config(rope_scaling=None), "rope-lost"),
    "another factor": (rope(factor=40), "rope-length"),
    "rope members that differ": (both_rope_members, "rope-conflict"),
    "another rope base": (config(rope_theta=10000), "rope-theta"),
    "a lost rope base": (lambda files: files["config.json"].pop("rope_theta"), "rope-theta"),
    "more experts a token than there are": (config(num_experts_per_tok=9), "router-setting"),
    "no experts a token": (config(num_experts_per_tok=None), "router-setting"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_each_damage_is_found_by_its_code(damage: str) -> None:
    change, code = DAMAGED[damage]
    assert code in judged(change)


def test_ids_of_the_family_that_are_shifted_by_one() -> None:
    full = {**config_values("moonshotai/Kimi-K2-Instruct"), "num_hidden_layers": 1}
    assert judged(lambda _: None, full) == []
    codes = judged(shift_ids, full)
    assert {*codes} == {"special-token-id"}


def test_a_sound_folder_has_no_finding() -> None:
    assert judged(lambda _: None) == []
    assert judged(transformers_5) == []
    assert judged(template(CHAT_TEMPLATE.read_text())) == []
    assert judged(template(GOOD + "{% generation %}x{% endgeneration %}")) == []
    named = [{"name": "default", "template": GOOD}, {"name": "rag", "template": "{{"}, 3]
    assert judged(lambda files: files["tokenizer_config.json"].update(chat_template=named)) == []
    assert judged(lambda files: files["tokenizer_config.json"].pop("added_tokens_decoder")) == []


def test_a_rope_that_older_programs_do_not_read_is_an_info() -> None:
    config = tiny_config()
    config["rope_parameters"] = {**config.pop("rope_scaling"), "rope_theta": config["rope_theta"]}
    codes = {finding.code for finding in validate(memory_source(config)).report}
    assert "rope-parameters-only" in codes


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"n_group": 3}, 1),
        ({"topk_group": 9}, 1),
        ({"n_group": 8, "topk_group": 1, "num_experts_per_tok": 2}, 1),
        ({"n_group": None}, 0),
        ({"n_routed_experts": None, "num_experts_per_tok": 99}, 0),
    ],
)
def test_the_groups_of_experts(changes: dict[str, Any], count: int) -> None:
    config = {**tiny_config("deepseek_v3"), **changes}
    codes = [finding.code for finding in validate(memory_source(config)).report]
    assert codes.count("router-setting") == count


@pytest.mark.parametrize("tokens", [100_000, 163_585])
def test_a_vocabulary_that_is_cut_or_another_models(tokens: int) -> None:
    source = memory_source({**config_values("moonshotai/Kimi-K2-Instruct"), "num_hidden_layers": 2})
    assert not any("token" in finding.code for finding in bad(validate(source)))
    data = vocabulary_bytes(tokens)
    source.contents["tiktoken.model"] = (data, len(data))
    assert "tokenizer-foreign" in [finding.code for finding in bad(validate(source))]


def test_a_vocabulary_that_is_too_large_is_reported_once() -> None:
    source = memory_source({**config_values("moonshotai/Kimi-K2-Instruct"), "num_hidden_layers": 1})
    source.contents["tiktoken.model"] = (b"", 1 << 40)
    assert [finding.code for finding in bad(validate(source))] == ["companion-too-large"]


def test_a_model_of_no_known_fingerprint_may_scale_nothing() -> None:
    config = {**tiny_config(), "routed_scaling_factor": 1.0, "rope_scaling": None}
    assert not any("rope" in finding.code for finding in validate(memory_source(config)).report)


@pytest.mark.parametrize("variant", ["fp8", "deepseek_v3", "moonshotai/Kimi-K2-Instruct"])
def test_an_end_token_beyond_the_vocabulary(variant: str) -> None:
    config = config_values(variant) if "/" in variant else tiny_config(variant)
    config = {**config, "num_hidden_layers": 1}
    report = validate(memory_source({**config, "eos_token_id": config["vocab_size"]})).report
    (finding,) = (finding for finding in report if finding.code == "end-token")
    assert "beyond the vocabulary" in finding.message


def test_added_tokens_beyond_the_embedding() -> None:
    def add(files: Files) -> None:
        files["tokenizer_config.json"]["added_tokens_decoder"]["320"] = {"content": "<|new|>"}

    assert judged(add) == ["token-beyond-embedding"]
    assert judged(config(vocab_size=None)) == ["architecture-value"]


def test_files_that_cannot_be_read_are_reported_once(tmp_path: Path) -> None:
    made = draft()
    made.config["vocab_size"] = 163_840
    made.write(tmp_path)
    for name in ("tiktoken.model", "chat_template.jinja"):
        (tmp_path / name).unlink()
        put_fifo(tmp_path / name)
    codes = [finding.code for finding in bad(validate(tmp_path))]
    assert codes.count("file-is-special") == 2
    assert not {"chat-template-missing", "tokenizer-foreign"} & {*codes}
