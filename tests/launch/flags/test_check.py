"""What an engine would refuse in a command line, named all at once."""

import shlex

import pytest

from k2compat.findings import Finding, Severity
from k2compat.launch.flags import check_arguments, newest_version

NEWEST = newest_version("vllm")

SGLANG = ("sglang", "sglang.launch_server")


def check(engine: str, version: str, entry: str, line: str) -> list[Finding]:
    return list(check_arguments(engine, version, entry, shlex.split(line)))


def codes(engine: str, version: str, entry: str, line: str) -> list[tuple[str, str]]:
    return [(finding.code, finding.where) for finding in check(engine, version, entry, line)]


@pytest.mark.parametrize(
    ("line", "code", "where"),
    [
        ("m --no-such-flag 3", "flag-unknown", "--no-such-flag"),
        ("m --data-parallel-s 3", "flag-ambiguous", "--data-parallel-s"),
        ("m --max-num-se 3", "flag-abbreviated", "--max-num-se"),
        ("m --port", "flag-arity", "--port"),
        ("m --served-model-name", "flag-arity", "--served-model-name"),
        ("m --headless=true", "flag-arity", "--headless"),
        ("m --port eighty", "flag-value", "--port"),
        ("m --gpu-memory-utilization lots", "flag-value", "--gpu-memory-utilization"),
        ("m --max-num-batched-tokens 1.5K", "flag-value", "--max-num-batched-tokens"),
        ("m --reasoning-effort-map '{'", "flag-value", "--reasoning-effort-map"),
        ("m --compilation-config '[3]'", "flag-value", "--compilation-config"),
        ("m --uvicorn-log-level loud", "flag-choice", "--uvicorn-log-level"),
        ("m --port 1 --port 2", "flag-repeated", "--port"),
        ("m n", "argument-unexpected", "n"),
        ("m --mamba-cache-mode none", "flag-deprecated", "--mamba-cache-mode"),
        ("m --swap-space 4", "flag-removed", "--swap-space"),
        ("m --tensor-parallel-size 16", "flag-refused", "--tensor-parallel-size"),
        ("m --data-parallel-start-rank 0", "flag-meaning-changed", "--data-parallel-start-rank"),
        ("m --no-enable-prefix-caching", "flag-renamed", "--no-enable-prefix-caching"),
    ],
)
def test_each_fault_has_its_code(line: str, code: str, where: str) -> None:
    assert codes("vllm", NEWEST, "serve", line) == [(code, where)]


@pytest.mark.parametrize(
    "line",
    [
        "m --port $PORT --max-model-len <LENGTH> --speculative-config $JSON",
        "m --max-model-len 128k --max-num-batched-tokens 8192",
        "m --max_num_seqs 128 -tp 8 --no-trust-remote-code",
        """m --compilation-config '{"mode": 3}' --compilation-config.mode 3""",
        "m --tensor-parallel-size 16 --distributed-executor-backend ray",
        "m --tensor-parallel-size 16 --nnodes 2 --node-rank 0 --master-addr 10.0.0.1",
        "m --data-parallel-start-rank 8",
        "m --middleware a --middleware b",
        "--help",
    ],
)
def test_what_is_right_gives_nothing(line: str) -> None:
    assert codes("vllm", NEWEST, "serve", line) == []


def test_every_fault_is_named_at_once_in_the_order_of_the_line() -> None:
    found = codes(*SGLANG[:1], "0.5.23", SGLANG[1], "--port x --cuda-graph-bs 8 --nonsense")
    assert found == [
        ("flag-value", "--port"),
        ("flag-renamed", "--cuda-graph-bs"),
        ("flag-unknown", "--nonsense"),
        ("flag-missing", "--model-path"),
    ]


def test_a_required_argument_is_missed() -> None:
    assert codes("trtllm", "1.0.0rc2", "serve", "--port 8000") == [("flag-missing", "MODEL")]


def test_the_nearest_name_is_proposed() -> None:
    (finding,) = check("vllm", NEWEST, "serve", "m --tool-call-parsers kimi_k2")
    assert finding.fix == "Did you mean --tool-call-parser?"
    (finding,) = check("vllm", NEWEST, "serve", "m --xyzzy")
    assert finding.fix is None


def test_a_renamed_flag_is_shown_with_its_value_under_todays_name() -> None:
    (finding,) = check(*SGLANG[:1], "0.5.23", SGLANG[1], "--model-path m --cuda-graph-bs 1 2")
    assert finding.fix == "Write --cuda-graph-bs-decode 1 2"
    assert "0.5.20" in finding.message


def test_a_flag_without_a_known_successor_says_so() -> None:
    (finding,) = check(*SGLANG[:1], "0.5.23", SGLANG[1], "--model-path m --torchao-config int4wo")
    assert (finding.code, finding.fix) == ("flag-removed", "No successor is known.")


@pytest.mark.parametrize(
    ("version", "code"),
    [
        ("0.4.9.post2", None),
        ("0.5.2", "flag-deprecated"),
        ("0.5.3", "flag-refused"),
        ("0.5.4", "flag-refused"),
        ("0.5.5", "flag-renamed"),
        ("0.5.23", "flag-renamed"),
    ],
)
def test_each_boundary_has_its_finding(version: str, code: str | None) -> None:
    found = codes(*SGLANG[:1], version, SGLANG[1], "--model-path m --enable-deepep-moe")
    assert found == ([] if code is None else [(code, "--enable-deepep-moe")])


@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.12.0", []), ("0.13.0", ["flag-refused"]), ("0.28", ["flag-refused"])],
)
def test_a_world_larger_than_the_node(version: str, expected: list[str]) -> None:
    found = codes("vllm", version, "serve", "m --tensor-parallel-size 16")
    assert [code for code, _ in found] == expected


def test_attention_data_parallelism_has_a_size_of_its_own() -> None:
    line = "--model-path m --dp-size 16 --enable-dp-attention"
    first, second = check(*SGLANG[:1], "0.5.23", SGLANG[1], line)
    assert (first.fix, second.fix) == ("Write --attn-dp-size 16", "Leave it out.")
    assert codes(*SGLANG[:1], "0.5.21", SGLANG[1], line) == []
    assert codes(*SGLANG[:1], "0.5.23", SGLANG[1], "--model-path m --dp-size 2") == []


def test_a_change_of_no_known_version_counts_where_the_newer_table_answers() -> None:
    assert codes("vllm", "0.21", "serve", "m -O3") == []
    assert codes("vllm", NEWEST, "serve", "m -O3") == [("flag-meaning-changed", "-O")]
    assert codes("vllm", "0.21", "serve", "m --no-enable-prefix-caching") == []


def test_a_name_that_says_no_is_not_its_opposite() -> None:
    assert codes("vllm", NEWEST, "serve", "m --enable-log-requests") == []
    found = codes("vllm", NEWEST, "serve", "m --disable-log-requests")
    assert found == [("flag-deprecated", "--disable-log-requests")]


def test_what_is_handed_on_is_checked_by_the_next_program() -> None:
    line = "m --tp 8 --kt-cpuinfer many --cuda-graph-bs 8 --nonsense 1 more"
    assert codes("ktransformers", "0.7.2", "kt run", line) == [
        ("flag-value", "--kt-cpuinfer"),
        ("flag-unknown", "--nonsense"),
    ]


def test_deep_json_is_a_finding_and_no_crash() -> None:
    deep = "[" * 100_000
    (finding,) = check_arguments("vllm", NEWEST, "serve", ["m", "--reasoning-effort-map", deep])
    assert finding.code == "flag-value"
    assert finding.severity is Severity.ERROR


def test_click_looks_at_the_last_value_only() -> None:
    line = "m --port x --port 8000"
    assert codes("trtllm", "1.0.0rc2", "serve", line) == [("flag-repeated", "--port")]
    assert ("flag-value", "--port") in codes("vllm", NEWEST, "serve", line)
