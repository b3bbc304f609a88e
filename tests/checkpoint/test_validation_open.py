"""A checkpoint from Python: headers one by one, tensors as they come."""

from pathlib import Path

import pytest

import k2compat.checkpoint
from k2compat.checkpoint import open_checkpoint, validate
from k2compat.errors import RefusedError
from tests.support.drafts import LAYER_1, draft
from tests.support.hub_client import REPO, repo_files
from tests.support.hub_endpoint import Hub
from tests.support.memory_source import memory_source


def test_headers_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    draft().write(tmp_path)
    headers = open_checkpoint(tmp_path).headers()
    assert len(next(headers).tensors) == 20
    (tmp_path / LAYER_1).write_bytes(b"")
    (finding,) = next(headers).findings
    assert finding.code == "file-empty"


def test_tensors_and_config(tmp_path: Path) -> None:
    made = draft()
    with open_checkpoint(made.write(tmp_path)) as checkpoint:
        assert {tensor.name for tensor in checkpoint.tensors()} == set(made.places)
        assert checkpoint.config == made.config
    (tmp_path / "config.json").unlink()
    assert open_checkpoint(str(tmp_path)).config is None


def test_a_repo_on_the_hub(hub: Hub, client: Path) -> None:
    hub.commit(REPO, repo_files())
    with open_checkpoint(f"hf://{REPO}") as checkpoint:
        assert sum(1 for _ in checkpoint.tensors()) == 69
    assert validate(f"hf://{REPO}").tensors == 69


def test_a_source_that_was_given_stays_open() -> None:
    source = memory_source(draft().config)
    assert open_checkpoint(source).source is source
    assert validate(source).tensors == 69


def test_what_is_not_there() -> None:
    with pytest.raises(RefusedError):
        open_checkpoint("nowhere")
    with pytest.raises(AttributeError):
        k2compat.checkpoint.nothing  # noqa: B018
