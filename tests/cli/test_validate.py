"""k2compat validate: the report on the screen and as a document."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkpoint.test_validation_coverage import UNKNOWN, with_nvfp4_experts
from tests.support.command import Result
from tests.support.drafts import LAYER_1, draft
from tests.support.hub_client import REPO, repo_files
from tests.support.hub_endpoint import Hub
from tests.support.models import make_ggufs
from tests.support.peer_checkpoint import write_checkpoint

Command = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draft().write(tmp_path / "模型")


def test_a_sound_checkpoint(folder: Path, command: Command) -> None:
    result = command("validate", folder)
    assert result.code == 0
    lines = result.out.decode().splitlines()
    assert lines[0] == f"{folder}: kimi_k2 fp8, safetensors"
    assert lines[1] == (
        "69 tensors, 1,214,990 stored parameters (1,214,916 of the model), "
        "1,381,560 bytes in 3 files."
    )
    assert lines[-1] == "OK: no problems in what was checked."


def test_sound_is_said_only_where_everything_was_judged(tmp_path: Path, command: Command) -> None:
    folder = write_checkpoint(tmp_path, UNKNOWN, with_nvfp4_experts())
    result = command("validate", folder)
    assert result.code == 0
    assert result.out.decode().splitlines()[-1] == (
        "OK as far as it was checked: 12 of 77 tensors; the quantisation nvfp4_next is not known"
    )


def test_the_name_of_a_repo_leads_to_the_hub(command: Command) -> None:
    repo = "moonshotai/Kimi-K2-Instruct"
    for line in (["validate", repo], ["stage-gguf", repo, "ggufs"]):
        assert f"write hf://{repo}" in command(*line).words
    assert "hf://" not in command("validate", f"/{repo}").words


def test_damage_is_exit_status_1(folder: Path, command: Command) -> None:
    (folder / LAYER_1).unlink()
    result = command("validate", folder)
    assert result.code == 1
    assert result.out.decode().splitlines()[-1] == "Found: 1 error."
    assert "[shard-missing]" in result.words


def test_the_document(folder: Path, command: Command) -> None:
    (folder / LAYER_1).unlink()
    result = command("validate", folder, "--json")
    assert result.code == 1
    document = result.document
    assert list(document) == [
        "schema",
        "source",
        "format",
        "variant",
        "tensors",
        "parameters",
        "model_parameters",
        "bytes",
        "files",
        "checked_tensors",
        "stored",
        "not_checked",
        "findings",
    ]
    assert document["schema"] == "k2compat.validate/1"
    assert [file["tensors"] for file in document["files"]] == [20, 3]
    finding = document["findings"][0]
    assert finding["code"] == "shard-missing"
    assert finding["count"] == 46


def test_what_is_no_checkpoint_is_exit_status_2(tmp_path: Path, command: Command) -> None:
    result = command("validate", tmp_path, "--json")
    assert result.code == 2
    assert result.document["error"]["code"] == "weights-missing"
    assert command("validate", "").code == 2


def test_the_line_about_other_engines_can_be_chosen_too(tmp_path: Path, command: Command) -> None:
    ggufs = make_ggufs(tmp_path / "ggufs")

    def words(*options: str) -> str:
        return command("validate", ggufs, *options).words

    assert "[engines-differ]" in words()
    assert "engines-differ" not in words("--ignore", "engines-differ")
    assert "transformers-gguf" not in words("--ignore", "engines-differ,transformers-gguf")
    assert "transformers-gguf" not in words("--ignore", "transformers-gguf")
    assert "[engines-differ]" in words("--select", "engines-differ")
    assert "[transformers-gguf]" in words("--select", "transformers-gguf")


def test_findings_can_be_chosen(folder: Path, command: Command) -> None:
    (folder / LAYER_1).unlink()
    (folder / "tiktoken.model").unlink()

    def codes(*options: str) -> list[str]:
        document = command("validate", folder, "--json", *options).document
        return [finding["code"] for finding in document["findings"]]

    assert codes("--select", "shard-missing,companion-missing") == [
        "shard-missing",
        "companion-missing",
    ]
    assert "shard-missing" not in codes("--ignore", "shard-missing")
    ignored = command("validate", folder, "--ignore", "shard-missing, companion-missing")
    assert ignored.code == 0
    last = ignored.out.decode().splitlines()[-1]
    assert last == "Found: nothing, and 2 left out by --select or --ignore."
    wrong = command("validate", folder, "--ignore", "shard-mising")
    assert wrong.code == 2
    assert "k2compat explain shard-missing" in wrong.words


def test_an_engine_and_another_config(folder: Path, tmp_path: Path, command: Command) -> None:
    assert command("validate", folder, "--engine", "transformers").code == 1
    other = draft("bf16").write(tmp_path / "other")
    result = command("validate", folder, "--config", other)
    assert "[quantization-undeclared]" in result.words


def test_engines_that_were_not_asked_for_are_one_line(folder: Path, command: Command) -> None:
    (line,) = (line for line in command("validate", folder).words.splitlines() if "ngines" in line)
    assert "llama-cpp-safetensors, transformers-remote-code" in line
    assert "llama.cpp" in command("validate", folder, "--engine", "llama.cpp").words
    selected = command("validate", folder, "--select", "llama-cpp-safetensors").words
    assert "[llama-cpp-safetensors]" in selected
    found = command("validate", folder, "--json").document["findings"]
    assert {"llama-cpp-safetensors", "transformers-remote-code"} <= {one["code"] for one in found}
    assert "engines-differ" not in {one["code"] for one in found}
    everything = ["--ignore", "llama-cpp-safetensors,transformers-remote-code"]
    assert command("validate", folder, *everything).words == ""


def test_deep_tells_what_it_read(folder: Path, command: Command) -> None:
    result = command("validate", folder, "--deep")
    assert "were sampled" in result.out.decode()
    assert result.code == 1  # the drafts' data are zeros
    ggufs = make_ggufs(folder.parent / "ggufs")
    assert "were sampled" in command("validate", ggufs, "--deep").out.decode()


def test_a_repo_on_the_hub(hub: Hub, client: Path, command: Command) -> None:
    hub.commit(REPO, repo_files())
    result = command("validate", f"hf://{REPO}")
    assert result.out.decode().splitlines()[-1] == "OK: no problems in what was checked."
    assert result.code == 0
    assert command("validate", "hf://no").code == 2
