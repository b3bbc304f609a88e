"""k2compat modernize as its users run it."""

import subprocess
from pathlib import Path

from tests.support import guide
from tests.support.command import ENVIRONMENT, PROGRAM, k2compat

OLD = "vllm serve m \\\n  --swap-space 4\n"
NEW = "vllm serve m\n"


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "启动.sh"
    file.write_text(OLD)
    result = k2compat("modernize", file)
    assert (result.code, result.out.decode()) == (0, NEW)
    assert "line 1: serve of vllm 0.33.0" in result.words
    assert "--swap-space 4 → (nothing), since 0.18.0" in result.words
    assert "source: vllm-project/vllm#36216" in result.words


def test_stdin() -> None:
    done = subprocess.run(
        [PROGRAM, "modernize", "-"],
        input=guide.WHOLE.encode(),
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert b"--cuda-graph-bs-decode 480" in done.stdout
    assert b"enable_padding: true" in done.stdout


def test_json(tmp_path: Path) -> None:
    file = tmp_path / "old.sh"
    file.write_text(OLD + "vllm serve m --rope-theta 1\nvllm serve m\n")
    result = k2compat("modernize", file, "--json")
    assert result.code == 1
    document = result.document
    assert document["schema"] == "k2compat.modernize/1"
    assert document["changed"] is True
    assert document["text"].startswith(NEW)
    first, second, third = document["commands"]
    assert first["changes"][0]["before"] == "--swap-space 4"
    assert (first["line"], second["line"], third["changes"]) == (1, 3, [])
    assert [finding["where"] for finding in document["findings"]] == ["line 3: --rope-theta"]
    assert result.err == b""


def test_findings_come_in_the_order_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "old.sh"
    file.write_text("vllm serve m --rope-theta 1\nvllm serve --config c.yaml\n")
    findings = k2compat("modernize", file, "--json").document["findings"]
    assert [finding["where"] for finding in findings] == ["line 1: --rope-theta", "line 2"]


def test_check(tmp_path: Path) -> None:
    file = tmp_path / "x.sh"
    file.write_text(OLD)
    assert k2compat("modernize", file, "--check").code == 1
    file.write_text(NEW)
    result = k2compat("modernize", file, "--check")
    assert (result.code, result.out.decode()) == (0, NEW)
    assert "nothing to change" in result.words


def test_a_version(tmp_path: Path) -> None:
    file = tmp_path / "x.sh"
    file.write_text(OLD)
    for option in ("0.17.1", "vllm=0.17.1"):
        result = k2compat("modernize", file, "--engine-version", option)
        assert (result.code, result.out.decode()) == (0, OLD)


def test_what_was_left_out_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.sh"
    file.write_text("python ktransformers/server/main.py --model_path m --gpu_split x\n")
    result = k2compat("modernize", file)
    assert result.code == 1
    assert "--gpu_split x → (nothing)\n" in result.words
    assert "flag-untranslated" in result.words


def test_refusals(tmp_path: Path) -> None:
    file = tmp_path / "x.sh"
    assert k2compat("modernize", file).code == 2
    file.write_bytes(b"\xb2\xe2")
    result = k2compat("modernize", file, "--json")
    assert (result.code, result.document["error"]["code"]) == (2, "text-not-utf8")
    file.write_text("vllm serve 'm")
    result = k2compat("modernize", file)
    assert (result.code, result.out) == (2, b"")
    assert "shell-unclosed" in result.words
    assert k2compat("modernize", tmp_path).code == 2


def test_the_checks_of_a_plan(tmp_path: Path) -> None:
    file = tmp_path / "x.sh"
    file.write_text("vllm serve moonshotai/Kimi-K2-Instruct -tp 8\n")
    assert k2compat("modernize", file).code == 0
    result = k2compat("modernize", file, "--gpu", "h200")
    assert (result.code, result.out) == (1, file.read_bytes())
    assert "does-not-fit" in result.words
    result = k2compat("modernize", file, "--check-plan", "--gpus-per-node", "4")
    assert "fit-by-weights" in result.words


def test_a_unit_is_edited_in_place(tmp_path: Path) -> None:
    file = tmp_path / "k2.service"
    file.write_text("[Service]\nExecStart=/v/bin/vllm serve m --swap-space 4\nRestart=always\n")
    result = k2compat("modernize", file, "--json")
    assert result.document["form"] == "systemd unit"
    assert result.document["text"] == file.read_text().replace(" --swap-space 4", "")


def test_a_command_in_place_of_a_file_names_the_pipe() -> None:
    result = k2compat("modernize", "vllm serve m")
    assert result.code == 2
    assert (
        "hint: To translate one command: echo 'vllm serve m' | k2compat modernize -"
        in result.err.decode()
    )
