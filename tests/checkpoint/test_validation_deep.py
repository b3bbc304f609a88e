"""--deep: each file of weights is sampled once, while it is open for its header."""

from pathlib import Path

import pytest
from safetensors import SafetensorError, safe_open

from k2compat.checkpoint import validate
from k2compat.checkpoint.engines.names import engine_names
from k2compat.checkpoint.hub_source import open_hub_source
from k2compat.checkpoint.safetensors_files import second_opinion
from k2compat.checkpoint.safetensors_files.header import read_safetensors
from k2compat.checkpoint.sampling.samples import REMOTE
from k2compat.findings import Severity
from k2compat.hub import HubRepo
from k2compat.samples import checkpoint_files, write_gguf
from tests.support.hub_endpoint import Hub

REPO = "org/model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "Kimi-K2"
    for name, body in checkpoint_files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return root


def emptied(path: Path) -> None:
    """A file as a download leaves it that set the length first and never finished."""
    start = read_safetensors(path).data_start
    body = path.read_bytes()
    path.write_bytes(body[:start] + bytes(len(body) - start))


def worst(folder: Path, *, deep: bool) -> list[tuple[str, str]]:
    report = validate(folder, deep=deep).report
    return [(one.code, one.where) for one in report if one.severity is not Severity.INFO]


def test_a_sound_checkpoint_is_sound_to_the_samples_too(folder: Path) -> None:
    assert worst(folder, deep=True) == []
    plain, deep = (validate(folder, deep=deep) for deep in (False, True))
    assert "only headers were read" in plain.not_checked[0]
    assert f"of {deep.bytes:,} bytes of data" in deep.not_checked[0]
    assert f"in {deep.tensors} of {deep.tensors} tensors" in deep.not_checked[0]
    assert deep.not_checked[1:] == plain.not_checked[1:]


def test_what_headers_cannot_tell_samples_do(folder: Path) -> None:
    shard = max(folder.glob("*.safetensors"))
    emptied(shard)
    assert worst(folder, deep=False) == []
    start = read_safetensors(shard).data_start
    assert worst(folder, deep=True) == [("data-zero-tail", f"{shard}: byte {start}")]


def test_a_checkpoint_that_was_never_filled_is_one_finding(tmp_path: Path) -> None:
    root = tmp_path / "权重"
    root.mkdir()
    header = b'{"a":{"dtype":"F32","shape":[64],"data_offsets":[0,256]}}'
    for number in range(10):
        body = len(header).to_bytes(8, "little") + header + bytes(256)
        (root / f"model-{number}-of-9.safetensors").write_bytes(body)
    report = validate(root, deep=True).report
    (finding,) = (one for one in report if one.code == "data-zero-tail")
    assert (finding.code, finding.where) == ("data-zero-tail", str(root))
    assert (finding.count, len(finding.items)) == (10, 10)
    assert "10 times, first at" in finding.message


@pytest.mark.parametrize("engine", [None, *engine_names()])
def test_deep_only_adds_findings(tmp_path: Path, engine: str | None) -> None:
    """A stricter option hides nothing: a link to a folder is found with and without --deep."""
    write_gguf(tmp_path / "model.gguf")
    (tmp_path / "linked").symlink_to(tmp_path.parent, target_is_directory=True)
    (tmp_path / "stray.safetensors").write_bytes(b"x")
    plain, deep = (validate(tmp_path, engine=engine, deep=deep) for deep in (False, True))
    assert set(plain.report) <= set(deep.report)
    if engine == "ktransformers":
        assert ("ktransformers-linked-folder", "error") in {
            (finding.code, finding.severity) for finding in deep.report
        }


def test_ggufs_are_sampled(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(path)
    body = path.read_bytes()
    assert worst(path, deep=True) == []
    path.write_bytes(body[:-4] + b"\xff" * 4)
    assert [code for code, _ in worst(path, deep=True)] == ["data-not-finite"]


def test_a_damaged_header_is_no_obstacle(folder: Path) -> None:
    shard = max(folder.glob("*.safetensors"))
    shard.write_bytes(b"\xff" * 100)
    assert "safetensors-length-huge" in [code for code, _ in worst(folder, deep=True)]
    shard.unlink()
    assert worst(folder, deep=True) == worst(folder, deep=False)


def test_of_a_repo_little_is_sampled(hub: Hub, client: Path, folder: Path) -> None:
    emptied(max(folder.glob("*.safetensors")))
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    hub.commit(REPO, files)
    with open_hub_source(HubRepo(REPO)) as source:
        validation = validate(source, deep=True)
    found = [one for one in validation.report if one.severity is Severity.ERROR]
    assert [one.code for one in found] == ["data-zero-tail"]
    assert found[0].where.startswith(f"hf://{REPO}/model-")
    for shard in source.files:
        # The header, the places, and those that find where the zeros begin.
        assert len(hub.got(shard)) <= 2 * (1 + REMOTE.reads + 30)


def refused_by_the_library(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library open every file but one."""
    opened = safe_open

    def refuse(file: Path, framework: str) -> object:
        if file == path:
            raise SafetensorError("Error while deserializing header: \x1b[31m")
        return opened(file, framework=framework)

    monkeypatch.setattr(second_opinion, "safe_open", refuse)


def test_a_shard_that_the_safetensors_library_refuses(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = max(folder.glob("*.safetensors"))
    refused_by_the_library(shard, monkeypatch)
    assert worst(folder, deep=False) == []
    assert worst(folder, deep=True) == [("safetensors-reader-refuses", str(shard))]
    (finding,) = (one for one in validate(folder, deep=True).report if one.severity == "error")
    assert finding.message.endswith(r"Error while deserializing header: \x1b[31m")
    # What k2compat itself finds in a header needs no second opinion.
    shard.write_bytes(b"\xff" * 100)
    assert [code for code, _ in worst(folder, deep=True)].count("safetensors-reader-refuses") == 0


def test_the_safetensors_library_refuses_what_it_cannot_map(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    (gone,) = second_opinion.official_opinion(path)
    path.write_bytes(b"\x08" + bytes(7) + b'{"a":3} ')
    (damaged,) = second_opinion.official_opinion(path)
    assert {gone.code, damaged.code} == {"safetensors-reader-refuses"}
    assert "expected struct TensorInfo" in damaged.message
