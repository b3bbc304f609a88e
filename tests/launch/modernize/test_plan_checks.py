"""The checks of a plan, on commands that were read."""

import pytest

from k2compat.launch.modernize.plan_checks import check_read_command
from k2compat.launch.modernize.rewrite import modernize_text

VLLM = "vllm serve moonshotai/Kimi-K2-Instruct"
SGLANG = "python -m sglang.launch_server --model-path moonshotai/Kimi-K2-Instruct"


def codes(text: str, gpu: str | None = None, gpus_per_node: int = 8) -> list[str]:
    (command,) = modernize_text(text).commands
    found = check_read_command(command, gpu, gpus_per_node)
    return [finding.code for finding in found if finding.code != "model-assumed"]


@pytest.mark.parametrize(
    ("text", "gpu", "expected"),
    [
        (f"{VLLM} -tp 8", "h200", "does-not-fit"),
        (f"{VLLM} -tp 16 --nnodes 2 --max-model-len 131072", "h200", ""),
        (f"{VLLM} -tp 16 --nnodes 2", None, "fit-by-weights"),
        (f"{VLLM} -tp 7", None, "heads-not-divisible"),
        (f"{VLLM} -tp 8 -dcp 3", None, "context-parallel-not-divisible"),
        (f"{VLLM} -tp 24 --nnodes 2", None, "heads-not-divisible"),
        (f"{VLLM} -tp 16 --nnodes 3", None, "world-size-mismatch"),
        (f"{VLLM} -dp 5 --enable-expert-parallel --enable-eplb", None, "experts-not-divisible"),
        (f"{VLLM} -dp 5 --enable-expert-parallel", None, "fit-by-weights"),
        (f"{SGLANG} --tp 16 --dp-size 16 --enable-dp-attention --ep-size 5", None, "experts-"),
        (f"{SGLANG} --tp 16 --attn-dp-size 16 --ep-size 16", "h200", ""),
        (f"{VLLM} -tp $N", None, "plan-not-checked"),
        (f'{VLLM} "${{ARGS[@]}}"', "h200", "plan-not-checked"),
        ("vllm serve", None, "plan-not-checked"),
        ("kt run m", None, "fit-skipped"),
    ],
)
def test_a_command_is_checked_as_a_plan(text: str, gpu: str | None, expected: str) -> None:
    found = codes(text, gpu)
    errors = [code for code in found if code not in ("fit-tight", "sequence-count-default")]
    assert any(code.startswith(expected) for code in errors) if expected else errors == []


def test_a_server_may_use_a_part_of_the_node() -> None:
    assert codes(f"{VLLM} -tp 4", "h200", 4) == codes(f"{VLLM} -tp 4", "h200", 8)


def test_attention_is_divided_by_a_switch_in_older_versions() -> None:
    text = f"{SGLANG} --tp-size 16 --dp-size 16 --enable-dp-attention --ep-size 16 --nnodes 2"
    (command,) = modernize_text(text, {"sglang": "0.5.5"}).commands
    assert "--enable-dp-attention" in command.arguments
    found = {finding.code for finding in check_read_command(command, "h200")}
    assert not {"world-size-mismatch", "does-not-fit"} & found
