"""The way out that an error names is one: for paths, repos, entries of the Hub's cache."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Result
from tests.support.hub_cache import hub_snapshot

Command = Callable[..., Result]

ON_A_MODEL = (
    ("validate", "MODEL"),
    ("stage-gguf", "MODEL", "."),
    ("patch-config", "MODEL", "--to", "deepseek_v3"),
    ("validate", "--like", "MODEL", "model"),
)


def told(command: Command, line: tuple[str, ...], model: str) -> str:
    result = command(*(model if word == "MODEL" else word for word in line))
    assert result.code == 2
    return result.words


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    for path in model.iterdir():
        path.rename(tmp_path / "model" / path.name)
    return tmp_path


@pytest.mark.parametrize("line", ON_A_MODEL)
class TestTheNameOfAModel:
    def test_the_form_of_a_repo_may_be_meant_for_the_hub(
        self, command: Command, here: Path, line: tuple[str, ...]
    ) -> None:
        assert "hf://moonshotai/Kimi-K2" in told(command, line, "moonshotai/Kimi-K2")

    @pytest.mark.parametrize(
        "path", ["./no/such", "../no/such", "no/such/", "/no/such", "no/such/x", "no/config.json"]
    )
    def test_a_path_is_a_path(
        self, command: Command, here: Path, line: tuple[str, ...], path: str
    ) -> None:
        words = told(command, line, path)
        assert "hf" not in words
        assert "[not-found]" in words

    def test_an_empty_one_is_refused(
        self, command: Command, here: Path, line: tuple[str, ...]
    ) -> None:
        assert "the path is empty" in told(command, line, "")


@pytest.mark.parametrize("line", ON_A_MODEL[:3])
def test_an_entry_of_the_cache_is_pointed_to_its_snapshot(
    command: Command, here: Path, line: tuple[str, ...]
) -> None:
    snapshot = hub_snapshot(here / "hub dir")
    words = told(command, line, str(snapshot.parents[1]))
    assert f"name its snapshot: '{snapshot}'" in words
    assert "newest" not in words
    (snapshot.parent / "newer").mkdir()
    assert "(the newest of 2)" in told(command, line, str(snapshot.parents[1]))


def test_an_entry_without_snapshots_says_so(command: Command, here: Path) -> None:
    (here / "models--a--b" / "snapshots").mkdir(parents=True)
    assert "download the model" in told(command, ON_A_MODEL[0], "models--a--b")


def test_an_entry_whose_snapshots_cannot_be_listed(
    command: Command, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: Path) -> None:
        raise PermissionError

    (here / "models--a--b" / "snapshots").mkdir(parents=True)
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "download the model" in told(command, ON_A_MODEL[2], "models--a--b")


def test_weights_in_a_folder_below_are_named(command: Command, here: Path) -> None:
    (here / "above").mkdir()
    (here / "model").rename(here / "above" / "m x")
    words = told(command, ON_A_MODEL[0], "above")
    assert "Name the folder that holds the weights, e.g. 'above/m x'" in words


@pytest.mark.parametrize(
    ("line", "label"),
    [
        (("stage-gguf", "model", "ADDRESS"), "GGUF_DIR"),
        (("stage-gguf", "model", ".", "--into", "ADDRESS"), "--into"),
        (("patch-config", "model", "--to", "kimi_k2", "--overlay", "ADDRESS"), "--overlay"),
        (("validate", "model", "--config", "ADDRESS"), "--config"),
        (("parse", "ADDRESS"), "FILE"),
        (("demo", "--keep", "ADDRESS"), "--keep"),
    ],
)
@pytest.mark.parametrize(
    ("address", "download"),
    [
        ("hf://a/b@v1", "hf download a/b --local-dir b --revision v1"),
        ("ms://a/b", "modelscope download --model a/b --local_dir b"),
    ],
)
def test_where_a_path_is_needed_an_address_is_refused(
    command: Command, here: Path, line: tuple[str, ...], label: str, address: str, download: str
) -> None:
    result = command(*(address if word == "ADDRESS" else word for word in line))
    assert result.code == 2
    assert f"error: {address} is a repo; {label} is a path on this machine." in result.words
    assert f"hint: Download it: {download}\n" in result.words


@pytest.mark.parametrize("place", ["/proc/x", "/proc/x/y", "/dev/null/x"])
def test_no_hint_says_that_a_demo_continues(command: Command, here: Path, place: str) -> None:
    words = told(command, ("demo", "--keep", "MODEL"), place)
    assert "continues" not in words
    assert "lace" in words or "Name a folder" in words
