"""Nodes that a command does not name, and flags for tool calls that it lacks."""

import pytest

from k2compat.launch.modernize import modernize_text

SGLANG = "python -m sglang.launch_server --model-path /models/K2 --tool-call-parser kimi_k2 "
TRTLLM = "trtllm-serve /models/K2 --tool_parser kimi_k2 "


def told(text: str, code: str, gpus_per_node: int = 8) -> list[str]:
    found = modernize_text(f"{text}\n", gpus_per_node=gpus_per_node)
    return [f.message for command in found.commands for f in command.findings if f.code == code]


@pytest.mark.parametrize(
    "line",
    [
        f"{SGLANG} --tp 16",
        f"{SGLANG} --tp 8 --pp-size 2",
        f"{SGLANG} --tp-size=32 --nnodes 2 --node-rank 0 --dist-init-addr 10.0.0.1:5000",
        f"{SGLANG} --tp 16 --kt-method RAWINT4 --kt-weight-path /models/K2",
        f"{TRTLLM} --tp_size 16",
    ],
)
def test_more_gpus_than_the_nodes_have(line: str) -> None:
    (message,) = told(line, "world-exceeds-nodes")
    assert "GPUs; " in message
    assert told(line, "world-exceeds-nodes", gpus_per_node=32) == []


@pytest.mark.parametrize(
    "line",
    [
        f"{SGLANG} --tp 8",
        f"{SGLANG} --tp 16 --nnodes 2 --node-rank 0 --dist-init-addr 10.0.0.1:5000",
        f"{SGLANG} --tp 16 --nnodes $NODES --node-rank 0 --dist-init-addr 10.0.0.1:5000",
        f"{SGLANG} --tp $TP",
        f"mpirun -np 16 trtllm-llmapi-launch {TRTLLM} --tp_size 16",
        "vllm serve /models/K2 -tp 16 --enable-auto-tool-choice --tool-call-parser kimi_k2",
    ],
)
def test_enough_gpus_or_nodes_that_are_joined_otherwise(line: str) -> None:
    assert told(line, "world-exceeds-nodes") == []


@pytest.mark.parametrize(
    ("line", "added"),
    [
        ("vllm serve moonshotai/Kimi-K2-Instruct", "--enable-auto-tool-choice"),
        (SGLANG.replace("/models/K2", "Kimi-K2").replace("--tool-call-parser kimi_k2", ""), ""),
        ("trtllm-serve nvidia/Kimi-K2-Thinking-NVFP4", "--tool_parser"),
    ],
)
def test_the_flags_for_tool_calls_are_named(line: str, added: str) -> None:
    (message,) = told(line, "tool-calls-off")
    assert "The command has no --tool" in message
    (finding,) = [
        f
        for command in modernize_text(f"{line}\n").commands
        for f in command.findings
        if f.code == "tool-calls-off"
    ]
    assert added in str(finding.fix)


@pytest.mark.parametrize(
    "line",
    [
        "vllm serve moonshotai/Kimi-K2-Instruct --tool-call-parser kimi_k2",
        "vllm serve moonshotai/Kimi-K2-Instruct --config k2.yaml",
        "vllm serve another/model",
        f"{TRTLLM}",
    ],
)
def test_no_flags_for_tool_calls_are_missed(line: str) -> None:
    assert told(line, "tool-calls-off") == []


DEEPEP = "python -m sglang.launch_server --tp-size 8 --moe-a2a-backend deepep --model-path "


@pytest.mark.parametrize("model", ["moonshotai/Kimi-K2-Thinking", "/data/Kimi-K2.5"])
def test_what_an_int4_model_cannot_take_is_named(model: str) -> None:
    (message,) = told(DEEPEP + model, "flag-combination")
    assert "INT4" in message


@pytest.mark.parametrize("model", ["moonshotai/Kimi-K2-Instruct", "$MODEL", "a/b", "Kimi-K3"])
def test_other_models_are_not_judged_by_it(model: str) -> None:
    assert told(DEEPEP + model, "flag-combination") == []


EAGLE3 = f"{SGLANG} --tp-size 8 --speculative-algorithm EAGLE3"


def test_a_draft_that_is_not_named() -> None:
    (message,) = told(EAGLE3, "flag-combination")
    assert "without --speculative-draft-model-path" in message
    assert told(f"{EAGLE3} --speculative-draft-model-path /models/draft", "flag-combination") == []


BAD_RELEASE = "docker run vllm/vllm-openai:v0.18.0 --model moonshotai/Kimi-K2.5 -pp {stages} -tp 8"


@pytest.mark.parametrize(("stages", "known"), [(2, True), (1, False)])
def test_a_release_that_fails_with_the_commands_flags_is_named(stages: int, known: bool) -> None:
    messages = told(BAD_RELEASE.format(stages=stages), "release-known-bad")
    assert [m for m in messages if "0.18.0 fails with pipeline stages" in m] == messages
    assert bool(messages) is known
