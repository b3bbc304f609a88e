"""vLLM: the guide to the letter, and what works now."""

from typing import Any

import pytest

from k2compat.launch.flags import newest_version
from tests.launch.support import argv, codes, environment, plan

NEWEST = newest_version("vllm")

TWO = ("10.0.0.1", "10.0.0.2")

GUIDE_TP = [
    *("vllm", "serve", "$MODEL_PATH"),
    *("--port", "8000"),
    *("--served-model-name", "kimi-k2"),
    "--trust-remote-code",
    *("--tensor-parallel-size", "16"),
    "--enable-auto-tool-choice",
    *("--tool-call-parser", "kimi_k2"),
]
GUIDE_DP_EP = [
    *("--port", "8000"),
    *("--served-model-name", "kimi-k2"),
    "--trust-remote-code",
    *("--data-parallel-size", "16"),
    *("--data-parallel-size-local", "8"),
    *("--data-parallel-address", "$MASTER_IP"),
    *("--data-parallel-rpc-port", "$PORT"),
    "--enable-expert-parallel",
    *("--max-num-batched-tokens", "8192"),
    *("--max-num-seqs", "256"),
    *("--gpu-memory-utilization", "0.85"),
    "--enable-auto-tool-choice",
    *("--tool-call-parser", "kimi_k2"),
]


def test_the_guides_tensor_parallelism() -> None:
    (command,) = plan("vllm", "$MODEL_PATH", profile="guide", strategy="tp").commands
    assert argv(command) == GUIDE_TP
    assert environment(command) == {}
    assert command.files == {}


def test_the_guides_data_and_expert_parallelism() -> None:
    first, second = plan("vllm", "$MODEL_PATH", profile="guide", strategy="dp-ep").commands
    serve = ["vllm", "serve", "$MODEL_PATH"]
    assert argv(first) == [*serve, *GUIDE_DP_EP]
    assert argv(second) == [*serve, "--headless", "--data-parallel-start-rank", "8", *GUIDE_DP_EP]
    assert environment(first) == environment(second) == {}


def test_what_the_guide_leaves_open_is_filled_where_it_is_given() -> None:
    first, _ = plan(
        "vllm", "/k2", profile="guide", strategy="dp-ep", nodes=TWO, values={"rpc_port": "13345"}
    ).commands
    words = argv(first)
    assert words[words.index("--data-parallel-address") + 1] == "10.0.0.1"
    assert words[words.index("--data-parallel-rpc-port") + 1] == "13345"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "guide-ray-missing"),
        ({}, "guide-interface-missing"),
        ({}, "guide-blobfile"),
        ({"gpu": "h20"}, "guide-out-of-memory"),
        ({"engine_version": "0.13.0"}, "flag-refused"),
    ],
)
def test_the_guides_errors_are_named(options: dict[str, Any], code: str) -> None:
    found = codes(plan("vllm", "$MODEL_PATH", profile="guide", strategy="tp", **options))
    assert code in found
    ours = codes(plan("vllm", "$MODEL_PATH", nodes=TWO, strategy="tp", **options))
    assert code not in ours


def test_the_guides_command_was_right_in_its_time() -> None:
    found = plan("vllm", "$MODEL_PATH", profile="guide", strategy="tp", engine_version="0.12.0")
    assert "flag-refused" not in codes(found)


@pytest.mark.parametrize("version", ["0.13.0", "0.18.0", NEWEST])
def test_from_0_13_vllm_starts_the_nodes_itself(version: str) -> None:
    first, second = plan("vllm", nodes=TWO, engine_version=version).commands
    assert argv(first)[-4:-3] != ["--headless"]
    assert "--headless" not in argv(first)
    assert "--headless" in argv(second)
    for rank, command in enumerate((first, second)):
        words = argv(command)
        assert words[words.index("--nnodes") + 1] == "2"
        assert words[words.index("--node-rank") + 1] == str(rank)
        assert words[words.index("--master-addr") + 1] == "10.0.0.1"


@pytest.mark.parametrize(
    ("version", "facts"),
    [("0.10.0", frozenset()), ("0.12.0", frozenset()), (NEWEST, frozenset({"executor=ray"}))],
)
def test_ray_is_really_started(version: str, facts: frozenset[str]) -> None:
    head, worker, serve = plan("vllm", nodes=TWO, engine_version=version, facts=facts).commands
    assert argv(head) == [
        *("ray", "start", "--head", "--port", "6379"),
        *("--node-ip-address", "10.0.0.1"),
    ]
    assert argv(worker) == [
        *("ray", "start", "--address", "10.0.0.1:6379"),
        *("--node-ip-address", "10.0.0.2"),
    ]
    assert serve.after == (head.id, worker.id)
    words = argv(serve)
    assert words[words.index("--distributed-executor-backend") + 1] == "ray"
    assert environment(worker)["VLLM_HOST_IP"] == "10.0.0.2"
    assert environment(worker)["GLOO_SOCKET_IFNAME"] == "$INTERFACE"


def test_nnodes_exists_before_it_is_needed() -> None:
    facts = frozenset({"executor=mp"})
    for version, starts in (("0.11.1", "ray"), ("0.11.2", "vllm")):
        commands = plan("vllm", nodes=TWO, engine_version=version, facts=facts).commands
        assert argv(commands[0])[0] == starts


@pytest.mark.parametrize("version", ["0.10.0", "0.27.0", "0.28.0", NEWEST])
def test_node_0_never_says_its_start_rank(version: str) -> None:
    first, second = plan("vllm", nodes=TWO, strategy="dp-ep", engine_version=version).commands
    assert "--data-parallel-start-rank" not in argv(first)
    assert argv(second)[3:6] == ["--headless", "--data-parallel-start-rank", "8"]


def test_one_node_needs_no_addresses() -> None:
    for strategy in ("tp", "tp-pp", "dp-ep"):
        (command,) = plan("vllm", nodes=("10.0.0.1",), strategy=strategy).commands
        assert "10.0.0.1" not in argv(command)
        assert environment(command) == {}


def test_pipeline_parallelism_takes_over_beyond_16_gpus() -> None:
    four = (*TWO, "10.0.0.3", "10.0.0.4")
    found = plan("vllm", nodes=four)
    words = argv(found.commands[0])
    assert found.strategy == "tp-pp"
    assert words[words.index("--tensor-parallel-size") + 1] == "8"
    assert words[words.index("--pipeline-parallel-size") + 1] == "4"


def test_h20_gets_what_keeps_128k_in_memory() -> None:
    words = argv(plan("vllm", nodes=TWO, gpu="H20").commands[0])
    assert words[words.index("--max-model-len") : words.index("--enable-auto-tool-choice")] == [
        *("--max-model-len", "130172"),
        *("--max-num-seqs", "128"),
        *("--gpu-memory-utilization", "0.92"),
    ]
    given = argv(plan("vllm", nodes=TWO, gpu="h20", values={"context": "65536"}).commands[0])
    assert given.count("--max-model-len") == 1
    assert "65536" in given


def test_models_that_think_or_see_get_their_flags() -> None:
    thinking = argv(plan("vllm", "Kimi-K2-Thinking").commands[0])
    assert thinking[-2:] == ["--reasoning-parser", "kimi_k2"]
    seeing = argv(plan("vllm", "Kimi-K2.5").commands[0])
    assert seeing[-2:] == ["--mm-encoder-tp-mode", "data"]
    old = plan("vllm", "Kimi-K2-Thinking", engine_version="0.10.0")
    assert "reasoning-unparsed" in codes(old)
    assert "tool-call-ids-random" in codes(plan("vllm", "Kimi-K2.5", engine_version="0.17.0"))


@pytest.mark.parametrize(("strategy", "has_kernels"), [("tp", True), ("dp-ep", False)])
def test_the_kernels_of_mi355x_go_without_expert_parallelism(
    strategy: str, has_kernels: bool
) -> None:
    """As vLLM's recipes for Kimi-K2.5 to K2.7 have it."""
    nodes = ("10.0.0.1",)
    made = plan("vllm", "moonshotai/Kimi-K2.5", nodes=nodes, gpu="mi355x", strategy=strategy)
    (command,) = made.commands
    assert ("--moe-backend" in argv(command)) == has_kernels
    assert ("--enable-expert-parallel" in argv(command)) != has_kernels
