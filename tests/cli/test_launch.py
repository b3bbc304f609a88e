"""k2compat launch as it is typed."""

import json
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from k2compat.cli.commands.launch import command as launch_command
from k2compat.cli.main import run

TWO = ["--nodes", "10.0.0.1,10.0.0.2"]


def document(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    answer = json.loads(capfd.readouterr().out)
    assert isinstance(answer, dict)
    return answer


def test_the_document_holds_the_plan(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["launch", "vllm", "$MODEL_PATH", *TWO, "--port", "9000", "--json"]) == 0
    answer = document(capfd)
    assert answer["schema"] == "k2compat.launch/1"
    assert (answer["engine"], answer["engine_version"]) == ("vllm", "0.33.0")
    assert (answer["profile"], answer["strategy"]) == ("default", "tp")
    first, second = answer["commands"]
    assert set(first) == {"id", "role", "node", "argv", "env", "files", "ports", "after"}
    assert first["argv"][:5] == ["vllm", "serve", "$MODEL_PATH", "--port", "9000"]
    assert first["env"]["VLLM_HOST_IP"] == "10.0.0.1"
    assert {"name": "http", "port": 9000} in first["ports"]
    assert second["ports"] == []
    codes = [finding["code"] for finding in answer["findings"]]
    assert codes == ["model-assumed", "placeholder-open", "fit-by-weights"]


def test_the_text_can_be_pasted(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["launch", "vllm", "/models/K 2"]) == 0
    text = capfd.readouterr().out
    done = subprocess.run(
        ["bash", "-c", f'vllm() {{ printf "%s\\n" "$@"; }}\n{text}'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[:2] == ["serve", "/models/K 2"]


def test_scripts_are_written_once_and_never_over_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "脚本"
    arguments = ["launch", "vllm", "/k2", *TWO, "--format", "sh", "--out", str(folder)]
    assert run(arguments) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["node0.sh", "node1.sh"]
    assert capfd.readouterr().out == f"new   {folder}/node0.sh\nnew   {folder}/node1.sh\n"
    assert run(arguments) == 0
    assert capfd.readouterr().out == f"same  {folder}/node0.sh\nsame  {folder}/node1.sh\n"
    assert run([*arguments, "--port", "9000"]) == 2
    assert "[output-differs]" in capfd.readouterr().err
    assert run([*arguments, "--port", "9000", "--force"]) == 0


def test_one_script_goes_to_stdout_and_several_do_not(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["launch", "vllm", "/k2", "--format", "sh"]) == 0
    assert capfd.readouterr().out.startswith("#!/usr/bin/env bash\n")
    assert run(["launch", "vllm", "/k2", "--format", "sh", *TWO]) == 2
    assert "--out DIR" in capfd.readouterr().err


def test_a_cluster_file_is_another_way_to_name_the_nodes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text('gpus_per_node = 4\n[[nodes]]\naddress = "a"\n[[nodes]]\naddress = "b"\n')
    assert run(["launch", "vllm", "/k2", "--cluster", str(path), "--json"]) == 0
    words = document(capfd)["commands"][0]["argv"]
    assert words[words.index("--tensor-parallel-size") + 1] == "8"
    assert run(["launch", "vllm", "/k2", "--cluster", str(path), *TWO]) == 2
    assert "--cluster names the nodes" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["vllm", "moonshotai/Kimi-K3"], "model-other-architecture"),
        (["vllm", "--", "-rf"], "value-malformed"),
        (["vllm", "/k2", "--nodes", "a,,b"], "host-malformed"),
        (["vllm", "/k2", "--port", "http"], "port-malformed"),
        (["vllm", "/k2", "--served-model-name", "a\nb"], "value-malformed"),
        (["vllm", "/k2", "--interface", "eth0 eth1"], "device-malformed"),
        (["vllm", "/k2", "--strategy", "pd"], "strategy-not-offered"),
        (["vlm", "/k2"], "wrong-usage"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    arguments: list[str], code: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["launch", "--json", *arguments]) == 2
    answer = document(capfd)
    assert answer["error"]["code"] == code
    assert answer["error"]["message"].endswith(".")


def test_an_error_in_the_plan_is_exit_one(capfd: pytest.CaptureFixture[str]) -> None:
    guide = ["launch", "vllm", "$MODEL_PATH", "--profile", "guide"]
    assert run(guide) == 0
    assert run([*guide, "--engine-version", "0.33.0"]) == 1
    assert "[flag-refused]" in capfd.readouterr().err


def test_a_plan_that_cannot_fit_is_refused_with_one_that_does(
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = ["launch", "vllm", "/k2", "--gpu", "h200"]
    assert run([*arguments, "--json"]) == 2
    error = document(capfd)["error"]
    assert error["code"] == "does-not-fit"
    assert "This fits: TP16 on 2 nodes (--nodes 2)." in error["hint"]
    assert run([*arguments, "--force", "--json"]) == 1
    assert document(capfd)["commands"]
    assert run([*arguments, *TWO, "--json"]) == 0


def test_the_sum_can_be_seen(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["launch", "vllm", "/k2", "--gpu", "h200", "--explain-fit"]
    assert run([*arguments, *TWO]) == 0
    assert "899,422 tokens fit" in capfd.readouterr().out
    assert run(arguments) == 1
    capfd.readouterr()
    assert run([*arguments, "--nodes", "2", "--json"]) == 0
    (finding,) = document(capfd)["findings"]  # no word of $NODE0: there is nothing to fill in
    assert finding["code"] == "model-assumed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--explain-fit"], "needs --gpu"),
        (["--explain-fit", "--gpu", "h200", "--format", "sh"], "prints the sum alone"),
        (["--explain-fit", "--gpu", "h200", "--out", "x"], "prints the sum alone"),
        (["--explain-fit", "--gpu", "h200", "--run", "--node-rank", "0"], "prints the sum alone"),
        (["--context", "128k"], "in full: 128000"),
        (["--context", "128K"], "in full: 131072"),
        (["--context", "many"], "'many' is no whole number"),
        (["--gpus-per-node", "0"], "no whole number from 1 to 1,024"),
        (["--gpus-per-node", "9" * 5000], "no whole number from 1 to 1,024"),
    ],
)
def test_wrong_usage_says_what_would_be_right(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["launch", "vllm", "/k2", *arguments]) == 2
    shown = capfd.readouterr().err
    assert words in shown
    assert "[wrong-usage]" in shown


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_value_is_an_unset_variable_and_refused(
    empty: str, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = {"folder", "cluster"}
    options = [
        option
        for option in launch_command.params
        if isinstance(option, click.Option)
        and not option.is_flag
        and not (option.name in paths and empty.isspace())  # a folder may be called so
    ]
    assert len(options) > 18
    for option in options:
        assert run(["launch", "vllm", "/k2", option.opts[0], empty]) == 2, option.opts
        assert "[" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("engine", "nearest"),
    [("vlm", "vllm"), ("tensorrt-llm", "trtllm"), ("TRT-LLM", "trtllm"), ("kt-kernal", "ktrans")],
)
def test_a_misspelt_engine_gets_the_nearest(
    engine: str, nearest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["launch", engine, "/k2"]) == 2
    assert f"the nearest is {nearest}" in capfd.readouterr().err
    assert run(["launch", "VLLM", "/k2"]) == 0
    assert run(["launch", "llama.cpp", "/k2"]) == 2
    assert "'ktransformers', 'sglang'" in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--node-rank", "0"],
        ["--skip-preflight"],
        ["--run", "--nodes", "10.0.0.1,10.0.0.2"],
        ["--run", "--node-rank", "0", "--out", "x"],
        ["--run", "--node-rank", "0", "--format", "slurm"],
    ],
)
def test_running_goes_with_its_node_and_nothing_else(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["launch", "vllm", "/k2", *arguments]) == 2
    assert "[wrong-usage]" in capfd.readouterr().err


def test_on_one_node_it_is_known_which_is_meant(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["launch", "vllm", "/k2", "--run"]) == 1
    captured = capfd.readouterr()
    assert captured.out.startswith("Nothing was started")
    assert "[model-missing]" in captured.err


def test_the_installed_engine_can_be_asked(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["launch", "vllm", "/k2", "--check-installed"]) == 0
    assert "[engine-not-installed]" in capfd.readouterr().err
