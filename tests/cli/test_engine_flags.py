"""A flag of an engine, typed as an option, gets the way that the command has for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.launch.flags import entry_points, passed_through, table_versions
from tests.support.command import Result

Command = Callable[..., Result]


@pytest.mark.parametrize("name", ["launch", "preflight"])
@pytest.mark.parametrize(
    ("engine", "options", "way"),
    [
        ("vllm", "--tp 16", "--set tensor-parallel-size=16"),
        ("vllm", "-tp 16", "--set tensor-parallel-size=16"),
        ("vllm", "--max-model-len=4096", "--set max-model-len=4096"),
        ("vllm", "--max_model_len", "--set max-model-len=VALUE"),
        ("vllm", "--enforce-eager --nodes 2", "--set enforce-eager"),
        ("SGLang", "--tp 8", "It is a flag of sglang. Pass it through: --set tp-size=8"),
        ("trtllm", "--tp_size 8", "--set tensor_parallel_size=8"),
        ("trtllm", "--tp 16", "trtllm takes it as --tp_size. Pass it through: --set tp_size=16"),
        ("vllm", "--tp-size 8", "--set tensor-parallel-size=8"),
        ("vllm", "--context-length 4096", "--set max-model-len=4096"),
        ("sglang", "--max-model-len 4096", "--set context-length=4096"),
        ("vllm", "--dp-size 2", "--set data-parallel-size=2"),
        ("vllm", "--mem-fraction-static 0.9", "It is a flag of ktransformers and sglang. A"),
        ("vllm", "--prot 80", "Did you mean --port? A flag of vllm is passed"),
        ("vllm", "--gpus 8", "Did you mean --gpus-per-node?"),
        ("vllm", "--node 2", "Did you mean --node-rank or --nodes? A flag of vllm is passed"),
        ("vllm", "--no-such-thing-at-all", "A flag of vllm is passed through with --set"),
        ("tensorrt", "--zzz", "A flag of the engine is passed through with --set"),
    ],
)
def test_the_way_out(command: Command, name: str, engine: str, options: str, way: str) -> None:
    result = command(name, engine, "moonshotai/Kimi-K2-Instruct", *options.split())
    assert result.code == 2
    option = options.split()[0].partition("=")[0]
    assert result.words.startswith(f"error: {option} is no option of this command. [wrong-usage]")
    assert way in result.words


def test_the_way_out_is_taken(command: Command, tmp_path: Path) -> None:
    model = "moonshotai/Kimi-K2-Instruct"
    hint = command("launch", "vllm", model, "--tp", "16").words.rpartition("through: ")[2]
    launched = command("launch", "vllm", model, "--nodes", "2", *hint.split())
    assert launched.code == 0
    assert b"--tensor-parallel-size 16" in launched.out


def test_an_engine_is_passed_what_the_hint_names() -> None:
    version = table_versions("vllm")[-1]
    entry = entry_points("vllm")[0]
    assert passed_through("vllm", version, entry, ["tensor-parallel-size=16"])
