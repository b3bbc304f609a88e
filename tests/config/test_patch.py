"""The plan: what each config of the family and each broken one gets."""

import json
from typing import Any

import pytest

from k2compat.config import Patch, plan_patch
from k2compat.errors import RefusedError
from k2compat.findings import Severity
from tests.support.configs import KIMI, PATCHED, config_bytes, config_values

FLAT = [
    "moonshotai/Kimi-K2-Base",
    "moonshotai/Kimi-K2-Instruct",
    "moonshotai/Kimi-K2-Instruct-0905",
    "moonshotai/Kimi-K2-Thinking",
]
NESTED = ["moonshotai/Kimi-K2.5", "nvidia/Kimi-K2.6-NVFP4", "nvidia/Kimi-K2.7-Code-NVFP4"]
DEEPSEEK = [
    "deepseek-ai/DeepSeek-V3",
    "deepseek-ai/DeepSeek-R1",
    "nvidia/DeepSeek-V3.1-NVFP4",
]


def plan(data: bytes, to: str = "deepseek_v3", **options: Any) -> Patch:
    return plan_patch(data, to=to, where="config.json", **options)


def refusal(data: bytes, to: str = "deepseek_v3", **options: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        plan(data, to, **options)
    assert caught.value.message.endswith(".")
    assert caught.value.hint
    return caught.value.code


@pytest.mark.parametrize("repo", FLAT)
def test_a_flat_model_goes_there_and_back(repo: str) -> None:
    data = config_bytes(repo)
    there = plan(data)
    assert (there.source, there.target) == ("kimi_k2", "deepseek_v3")
    assert json.loads(there.new) == {**json.loads(data), "model_type": "deepseek_v3"}
    assert plan(there.new, "kimi_k2").new == data


@pytest.mark.parametrize("repo", NESTED)
def test_a_nested_model_changes_inside_and_only_when_asked(repo: str) -> None:
    values = config_values(repo)
    assert refusal(config_bytes(repo)) == "model-type-nested"
    kimi = plan(config_bytes(repo), "kimi_k2", at="text_config").new
    deepseek = plan(config_bytes(repo), "deepseek_v3", at="text_config").new
    for data, model_type in ((kimi, "kimi_k2"), (deepseek, "deepseek_v3")):
        text_config = {**values["text_config"], "model_type": model_type}
        assert json.loads(data) == {**values, "text_config": text_config}
    assert plan(deepseek, "kimi_k2", at="text_config").new == kimi


@pytest.mark.parametrize("repo", DEEPSEEK)
@pytest.mark.parametrize("force", [False, True])
def test_a_deepseek_never_becomes_a_kimi(repo: str, *, force: bool) -> None:
    assert refusal(config_bytes(repo), "kimi_k2", force=force) == "fingerprint-deepseek"
    assert not plan(config_bytes(repo), "deepseek_v3").changes


@pytest.mark.parametrize("to", ["kimi_k2", "deepseek_v3"])
@pytest.mark.parametrize("at", [None, "text_config"])
def test_kimi_k3_is_another_architecture(to: str, at: str | None) -> None:
    assert refusal(config_bytes("moonshotai/Kimi-K3"), to, at=at) == "model-other-architecture"


def test_kimi_linear_is_refused_at_the_top_and_nested() -> None:
    assert refusal(b'{"model_type": "kimi_linear"}') == "model-other-architecture"
    nested = b'{"model_type": "kimi_k25", "text_config": {"model_type": "kimi_linear"}}'
    assert refusal(nested, at="text_config") == "model-other-architecture"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "config-not-json"),
        (b'{"model_type": "kimi_k2"', "config-not-json"),
        (b"version https://git-lfs.github.com/spec/v1\n", "config-not-json"),
        (b"[" * 100_000, "config-not-json"),
        (b'{"n_group": ' + b"1" * 5000 + b"}", "config-not-json"),
        ('{"model_type": "kimi_k2"}'.encode("utf-16"), "config-not-utf8"),
        (b'{"model_type": "kimi_k2", "a": "\xe4"}', "config-not-utf8"),
        (b"[]", "config-not-object"),
        (b"null", "config-not-object"),
        (b'"kimi_k2"', "config-not-object"),
        (b"true", "config-not-object"),
        (b"1.5", "config-not-object"),
        (b" " * (16 * 1024 * 1024 + 1), "config-too-large"),
        (b'{"n_group": 1}', "model-type-missing"),
        (b'{"model_type": null}', "model-type-not-string"),
        (b'{"model_type": 2}', "model-type-not-string"),
        (b'{"model_type": ["kimi_k2"]}', "model-type-not-string"),
        (b'{"model_type": {"a": "kimi_k2"}}', "model-type-not-string"),
        (b'{"model_type": "llama"}', "model-type-unknown"),
        (b'{"model_type": "Kimi_K2"}', "model-type-unknown"),
        (b'{"model_type": "\\ud800"}', "model-type-unknown"),
        (b'{"model_type": "kimi_k2", "model_type": "kimi_k2"}', "config-duplicate-key"),
        (b'{"model_type": "kimi_k2", "model\\u005ftype": 1}', "config-duplicate-key"),
        (b'{"model_type": "kimi_k2", "model_type": "kimi_k3"}', "config-duplicate-key"),
    ],
)
def test_what_is_no_config_of_the_family_is_refused(data: bytes, code: str) -> None:
    assert refusal(data) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (KIMI, "config-section-missing"),
        (b'{"model_type": "kimi_k25", "text_config": []}', "config-section-missing"),
        (b'{"text_config": {}}', "model-type-missing"),
        (b'{"text_config": {"model_type": "kimi_k25"}}', "model-type-unknown"),
        (
            b'{"text_config": {"model_type": "kimi_k2"}, "text_config": {"n_group": 1}}',
            "config-duplicate-key",
        ),
        (
            b'{"text_config": {"model_type": "kimi_k2", "model_type": "kimi_k2"}}',
            "config-duplicate-key",
        ),
    ],
)
def test_what_has_no_such_nested_config_is_refused(data: bytes, code: str) -> None:
    assert refusal(data, at="text_config") == code


def test_the_way_back_needs_the_fingerprint_or_force() -> None:
    stranger = PATCHED.replace(b"2.827", b"1.0")
    assert refusal(stranger, "kimi_k2") == "fingerprint-missing"
    assert plan(stranger, "kimi_k2", force=True).new == KIMI.replace(b"2.827", b"1.0")


def test_no_fingerprint_is_asked_where_nothing_changes() -> None:
    assert not plan(b'{"model_type": "kimi_k2"}', "kimi_k2").changes


def test_the_costs_are_those_of_a_change() -> None:
    costs = ["patch-tokenizer-remote-code", "patch-tool-call-ids", "patch-not-needed"]
    assert [finding.code for finding in plan(KIMI).costs] == costs
    assert plan(KIMI).findings == plan(PATCHED).findings == ()
    assert plan(PATCHED).costs == plan(PATCHED, "kimi_k2").costs == ()


def test_vllm_costs_nothing() -> None:
    # 0.24 and 0.32 with --tool-call-parser kimi_k2 send native ids for a patched checkpoint.
    (ids,) = (finding for finding in plan(KIMI).costs if finding.code == "patch-tool-call-ids")
    assert ids.severity is Severity.INFO
    assert ids.message.startswith("TensorRT-LLM ")
    assert "vLLM" not in ids.message


def test_the_fix_of_the_costs_is_the_way_back() -> None:
    nested = plan(config_bytes("moonshotai/Kimi-K2.5"), at="text_config").costs
    assert [finding.fix for finding in nested] == [
        None,
        "k2compat patch-config config.json --to kimi_k2 --at text_config",
    ]


@pytest.mark.parametrize("at", [None, "text_config"])
def test_what_sed_makes_of_kimi_k25_is_recognised(at: str | None) -> None:
    data = config_bytes("moonshotai/Kimi-K2.5").replace(b"kimi_k2", b"deepseek_v3")
    assert b'"deepseek_v35"' in data
    with pytest.raises(RefusedError) as caught:
        plan(data, "kimi_k2", at=at)
    assert caught.value.code == "model-type-replaced"
    hint = caught.value.hint
    assert hint.endswith("""sed -i 's/"deepseek_v35"/"kimi_k25"/' config.json""")


def test_the_way_back_without_rope_scaling_warns() -> None:
    def saved(config: dict[str, Any]) -> dict[str, Any]:
        """The config as Transformers 5 saves it."""
        rope = {"rope_theta": config.pop("rope_theta"), **config.pop("rope_scaling")}
        return {**config, "model_type": "deepseek_v3", "rope_parameters": rope}

    flat = json.dumps(saved(config_values("moonshotai/Kimi-K2-Instruct"))).encode()
    assert [finding.code for finding in plan(flat, "kimi_k2").findings] == ["patch-rope-parameters"]
    assert plan(flat).findings == ()
    nested = json.loads(config_bytes("moonshotai/Kimi-K2.5"))
    nested["text_config"] = saved(nested["text_config"])
    (finding,) = plan(json.dumps(nested).encode(), "kimi_k2", at="text_config").findings
    assert finding.message.startswith("text_config.rope_parameters ")
    both = {
        **config_values("moonshotai/Kimi-K2-Instruct"),
        "model_type": "deepseek_v3",
        "rope_parameters": {"rope_theta": 50000.0},
    }
    assert plan(json.dumps(both).encode(), "kimi_k2").findings == ()


def test_a_byte_order_mark_is_kept_and_reported() -> None:
    patch = plan(b"\xef\xbb\xbf" + KIMI)
    assert patch.new == b"\xef\xbb\xbf" + PATCHED
    assert "config-byte-order-mark" in [finding.code for finding in patch.findings]


def test_a_config_of_the_largest_size_is_read_at_once() -> None:
    filler = b'"' + b"\\u0041x" * (2 * 1024 * 1024) + b'"'
    data = KIMI.replace(b"{", b'{"filler": ' + filler + b",", 1)
    assert plan(data).new == data.replace(b"kimi_k2", b"deepseek_v3")
