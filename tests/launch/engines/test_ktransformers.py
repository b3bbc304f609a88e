"""KTransformers: the guide to the letter, and what works now."""

import re
from typing import Any

import pytest

from k2compat.errors import RefusedError
from k2compat.findings import Severity
from k2compat.launch.flags import table_versions
from k2compat.launch.plan import Plan
from tests.launch.support import argv, codes, plan

MODEL = "/path/to/K2"
AMX = frozenset({"amx"})

GUIDE = [
    *("python", "ktransformers/server/main.py"),
    *("--model_path", "/path/to/K2"),
    *("--gguf_path", "/path/to/K2"),
    *("--cache_lens", "30000"),
]
GUIDE_AMX = [
    *GUIDE,
    "--optimize_config_path",
    "ktransformers/optimize/optimize_rules/DeepSeek-V3-Chat-fp8-linear-ggml-experts-serve-amx.yaml",
]
OLD = ("0.3.2", "0.4.1", "archived-2026")
NEW = ("0.4.2", "0.5.0", "0.5.1", "0.7.2")
FP8, INT4, MODELS = "Kimi-K2-Instruct", "Kimi-K2-Thinking", ("/k2", "Kimi-K2-Thinking", "Kimi-K2.5")


def words(found: Plan) -> list[str]:
    """The arguments of a plan's one command."""
    (command,) = found.commands
    assert command.environment == {}
    assert command.files == {}
    return argv(command)


def value(found: Plan, flag: str) -> str:
    """What a flag is given."""
    arguments = words(found)
    assert arguments.count(flag) == 1
    return arguments[arguments.index(flag) + 1]


# --- The guide ---


@pytest.mark.parametrize(("facts", "wanted"), [(frozenset(), GUIDE), (AMX, GUIDE_AMX)])
def test_the_guides_commands(facts: frozenset[str], wanted: list[str]) -> None:
    found = plan("ktransformers", MODEL, profile="guide", facts=facts)
    assert words(found) == wanted
    assert found.engine_version == table_versions("ktransformers")[0]


def test_the_ggufs_may_lie_elsewhere() -> None:
    found = plan("ktransformers", MODEL, profile="guide", values={"gguf_path": "/data/gguf"})
    assert words(found)[2:6] == ["--model_path", MODEL, "--gguf_path", "/data/gguf"]


@pytest.mark.parametrize(
    ("facts", "code"),
    [(AMX, "guide-amx-off"), (AMX, "guide-backend-type"), (frozenset(), "guide-blobfile")],
)
def test_the_guides_errors_are_named(facts: frozenset[str], code: str) -> None:
    assert code in codes(plan("ktransformers", MODEL, profile="guide", facts=facts))
    for version in (*OLD, *NEW):
        assert code not in codes(plan("ktransformers", facts=facts, engine_version=version))
    if facts:
        assert code not in codes(plan("ktransformers", MODEL, profile="guide"))


def test_the_guides_server_is_gone() -> None:
    assert "old-server-gone" not in codes(plan("ktransformers", profile="guide"))
    found = plan("ktransformers", MODEL, profile="guide", engine_version="0.4.2")
    (finding,) = [finding for finding in found.findings if finding.code == "old-server-gone"]
    assert finding.severity is Severity.ERROR
    assert "flag-renamed" in codes(found)


# --- What works now ---


@pytest.mark.parametrize("facts", [frozenset(), AMX])
@pytest.mark.parametrize("values", [{}, {"gguf_path": "/data/gguf"}])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("version", [*OLD, *NEW])
def test_every_flag_is_one_that_the_version_has(
    version: str, model: str, values: dict[str, str], facts: frozenset[str]
) -> None:
    found = plan("ktransformers", model, values=values, facts=facts, engine_version=version)
    assert [finding for finding in found.findings if finding.code.startswith("flag-")] == []
    assert len(found.commands) == 1
    assert found.commands[0].stays


def test_the_newest_table_is_the_default() -> None:
    assert plan("ktransformers").engine_version == table_versions("ktransformers")[-1]


@pytest.mark.parametrize("version", OLD)
def test_up_to_0_4_1_its_own_server_reads_ggufs(version: str) -> None:
    found = plan("ktransformers", MODEL, engine_version=version)
    assert words(found)[:6] == GUIDE[:6]
    assert value(found, "--optimize_config_path").endswith("/DeepSeek-V3-Chat-serve.yaml")
    assert value(found, "--backend_type") == "balance_serve"
    commands = [prerequisite.command for prerequisite in found.prerequisites]
    assert "k2compat stage-gguf MODEL GGUF_DIR" in commands
    assert "tool-calls-unparsed" in codes(found)
    thinking = plan("ktransformers", INT4, engine_version=version)
    assert "reasoning-unparsed" in codes(thinking)


@pytest.mark.parametrize("version", OLD)
def test_amx_is_really_switched_on(version: str) -> None:
    found = plan("ktransformers", MODEL, facts=AMX, engine_version=version)
    assert value(found, "--optimize_config_path").endswith("/DeepSeek-V3-Chat-amx.yaml")
    assert value(found, "--backend_type") == "ktransformers"
    assert "--max_batch_size" not in words(found)
    assert any("GGUFs in BF16" in prerequisite.text for prerequisite in found.prerequisites)


def test_rules_and_backend_belong_together() -> None:
    for facts in (frozenset[str](), AMX):
        found = plan("ktransformers", MODEL, facts=facts, engine_version="0.3.2")
        serves = "-serve" in value(found, "--optimize_config_path")
        assert (value(found, "--backend_type") == "balance_serve") is serves


@pytest.mark.parametrize("version", NEW)
def test_from_0_4_2_sglang_serves(version: str) -> None:
    found = plan("ktransformers", MODEL, engine_version=version)
    assert words(found)[:5] == ["python", "-m", "sglang.launch_server", "--model-path", MODEL]
    assert value(found, "--tool-call-parser") == "kimi_k2"
    assert value(found, "--host") == "0.0.0.0"
    assert "tool-calls-unparsed" not in codes(found)
    assert {placeholder.name for placeholder in found.placeholders} >= {
        *("PHYSICAL_CORES", "NUMA_NODES")
    }


@pytest.mark.parametrize(
    ("version", "model", "values", "facts", "method", "weights"),
    [
        ("0.7.2", FP8, {}, frozenset(), "FP8", FP8),
        ("0.7.2", INT4, {}, frozenset(), "RAWINT4", INT4),
        ("0.5.0", FP8, {}, frozenset(), "AMXINT4", "<CPU_WEIGHTS>"),
        ("0.7.2", FP8, {}, AMX, "AMXINT4", "<CPU_WEIGHTS>"),
        ("0.7.2", FP8, {"gguf_path": "/data/gguf"}, frozenset(), "LLAMAFILE", "/data/gguf"),
        ("0.7.2", FP8, {"gguf_path": "/data/gguf"}, AMX, "AMXINT4", "<CPU_WEIGHTS>"),
    ],
)
def test_where_the_experts_on_the_cpu_come_from(
    version: str,
    model: str,
    values: dict[str, str],
    facts: frozenset[str],
    method: str,
    weights: str,
) -> None:
    found = plan("ktransformers", model, values=values, facts=facts, engine_version=version)
    assert value(found, "--kt-method") == method
    assert value(found, "--kt-weight-path") == weights
    converts = any("convert_cpu_weights" in str(p.command) for p in found.prerequisites)
    assert converts is (method == "AMXINT4")
    said = codes(found)
    assert ("gguf-experts-only" in said) is (method == "LLAMAFILE")
    assert ("gguf-not-for-amx" in said) is (bool(values) and method == "AMXINT4")
    assert ("weights-converted" in said) is (version == "0.5.0")


@pytest.mark.parametrize("version", [*OLD, *NEW])
def test_amx_names_the_cpu_that_it_needs(version: str) -> None:
    found = plan("ktransformers", MODEL, facts=AMX, engine_version=version)
    lines = [p.command for p in found.prerequisites if p.command and re.search("amx", p.command)]
    assert "lscpu | grep -i amx" in lines


def test_what_was_given_reaches_the_server() -> None:
    values = {"port": "9000", "served_model_name": "k2", "context": "65536"}
    for version, flags in (
        ("0.3.2", ("--port", "--model_name", "--cache_lens")),
        ("0.7.2", ("--port", "--served-model-name", "--max-total-tokens")),
    ):
        found = plan("ktransformers", MODEL, values=values, engine_version=version)
        assert [value(found, flag) for flag in flags] == list(values.values())


def test_models_that_think_get_their_parser() -> None:
    assert value(plan("ktransformers", INT4), "--reasoning-parser") == "kimi_k2"
    assert "--reasoning-parser" not in words(plan("ktransformers", FP8))


def test_one_node_is_all_it_can_use() -> None:
    with pytest.raises(RefusedError) as refusal:
        plan("ktransformers", nodes=("10.0.0.1", "10.0.0.2"))
    assert refusal.value.code == "cluster-too-large"
    assert "10.0.0.1" not in words(plan("ktransformers", nodes=("10.0.0.1",)))


def words_of(model: str, gpu: str, gpus: int, **options: Any) -> list[str]:
    (command,) = plan("ktransformers", model, gpu=gpu, gpus_per_node=gpus, **options).commands
    return argv(command)


@pytest.mark.parametrize(
    ("gpus", "experts", "tokens", "chunk"),
    [
        (1, "0", "30000", "30000"),
        (2, "8", "65536", "65536"),
        (4, "30", "80000", "65536"),
        (8, "80", "100000", "65536"),
    ],
)
def test_the_tutorial_s_values_for_gpus_with_48_gb(
    gpus: int, experts: str, tokens: str, chunk: str
) -> None:
    words = words_of("Kimi-K2-Thinking", "4090-48g", gpus)
    for flag, value in (
        ("--kt-num-gpu-experts", experts),
        ("--max-total-tokens", tokens),
        ("--chunked-prefill-size", chunk),
        ("--kt-gpu-prefill-token-threshold", "400"),
        ("--kt-max-deferred-experts-per-token", "1"),
        ("--mem-fraction-static", "0.94"),
        ("--kt-method", "RAWINT4"),
    ):
        assert words.count(flag) == 1
        assert words[words.index(flag) + 1] == value


def test_the_tutorial_for_kimi_k2_5_has_four_gpus() -> None:
    words = words_of("Kimi-K2.5", "4090-48g", 4)
    assert words[words.index("--kt-num-gpu-experts") + 1] == "30"
    assert words[words.index("--max-total-tokens") + 1] == "50000"
    for other in (words_of("Kimi-K2.5", "4090-48g", 8), words_of("Kimi-K2-Thinking", "h20", 8)):
        assert other[other.index("--kt-num-gpu-experts") + 1] == "0"
        assert other[other.index("--max-total-tokens") + 1] == "32768"


def test_the_gpus_that_are_used_decide_and_the_user_s_context_goes_first() -> None:
    words = words_of("Kimi-K2-Thinking", "l20", 8, settings=("tp=2",), values={"context": "9000"})
    assert words[words.index("--kt-num-gpu-experts") + 1] == "8"
    assert words[words.index("--max-total-tokens") + 1] == "9000"


@pytest.mark.parametrize(
    ("model", "version", "code"),
    [
        ("nvidia/Kimi-K2.5-NVFP4", "0.6.4", "weights-not-read"),
        ("nvidia/Kimi-K2.5-NVFP4", "0.7.2", "weights-not-documented"),
        ("amd/Kimi-K2-Thinking-MXFP4", "0.7.2", "weights-not-read"),
    ],
)
def test_weights_that_no_method_reads_are_an_error(model: str, version: str, code: str) -> None:
    found = plan("ktransformers", model, engine_version=version)
    assert code in codes(found)
    assert (value(found, "--kt-method") == "NVFP4") is (code == "weights-not-documented")
    given = plan("ktransformers", model, engine_version=version, values={"gguf_path": "/gguf"})
    assert not {"weights-not-read", "weights-not-documented"} & set(codes(given))


# What each method of kt-kernel 0.7.2 reads of a model's own folder: utils/loader.py, experts.py.
OWN = {"RAWINT4": INT4, "FP8": FP8, "NVFP4": "nvidia/Kimi-K2-Thinking-NVFP4"}
METHODS = (
    *("AMXINT4", "AMXINT8", "RAWINT4", "FP8", "BF16", "FP8_PERCHANNEL", "GPTQ_INT4", "MXFP4"),
    *("NVFP4", "MXFP8", "LLAMAFILE", "MOE_INT4", "MOE_INT8"),
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", sorted(OWN.values()))
def test_a_method_that_cannot_read_the_model_s_experts_is_refused(method: str, model: str) -> None:
    found = plan("ktransformers", model, settings=(f"kt-method={method}",))
    errors = [each.message for each in found.findings if each.code == "flag-combination"]
    assert bool(errors) is (OWN.get(method) != model)
    assert all(f"--kt-method={method}: it reads" in each for each in errors)


def test_converted_weights_are_read_by_amx() -> None:
    found = plan("ktransformers", INT4, settings=("kt-method=AMXINT8",), facts=AMX)
    assert "flag-combination" not in codes(found)


def test_the_tutorial_for_weights_converted_for_amx() -> None:
    found = plan("ktransformers", INT4, gpu="l20", facts=AMX)
    assert value(found, "--kt-num-gpu-experts") == "200"
    assert value(found, "--max-total-tokens") == "37000"
    assert value(found, "--max-running-requests") == "37"
    assert value(found, "--mem-fraction-static") == "0.98"
    shorter = plan("ktransformers", INT4, gpu="l20", facts=AMX, values={"context": "9000"})
    assert value(shorter, "--max-total-tokens") == "9000"
    for other in (
        plan("ktransformers", INT4, gpu="l20", gpus_per_node=4, facts=AMX),
        plan("ktransformers", "Kimi-K2.5", gpu="l20", facts=AMX),
        plan("ktransformers", INT4, gpu="4090-48g", facts=AMX),
    ):
        assert "--max-running-requests" not in words(other)
