"""Every ```console example of README and docs is run, and its output compared.

In an expected line "…" stands for anything; a line that is only "…" stands for any lines. Each
page runs in a folder of its own that holds the models its examples name; a README runs in the
folder that `k2compat demo --keep` leaves.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k2compat.samples.talking import talking_files
from tests.support.amount import sampled
from tests.support.command import PROGRAM
from tests.support.documentation import PAGES as ALL_PAGES
from tests.support.documentation import ROOT, examples_of
from tests.support.hub_endpoint import Hub, serve
from tests.support.talking_models import talking_model

READMES = [page for page in ALL_PAGES if page.name.startswith("README")]
PAGES = [page for page in ALL_PAGES if page not in READMES and any(examples_of(page, "console"))]


def examples(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each command of a page, with the lines it should print."""
    for block in examples_of(page, "console"):
        first, *rest = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
        assert not first, f"a console block of {page.name} begins with no command"
        for example in rest:
            command, *lines = example.splitlines()
            yield command, lines


def matches(expected: list[str], actual: list[str]) -> bool:
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in actual)) is not None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The models that the examples name: the talking model, small and complete."""
    model = talking_model("fp8", tokenizer="tiktoken")
    shutil.copytree(model, tmp_path / "Kimi-K2-Instruct")
    names = ("Kimi-K2-Instruct-GGUF", "Kimi-K2-Q4-GGUF")
    for name in (*names, *(f"Kimi-K2-all-GGUF/{kind}" for kind in ("Q2_K", "Q4_K_M"))):
        shutil.copytree(talking_model("gguf", joint_mla=True), tmp_path / name)
    nested = tmp_path / "Kimi-K2.5"
    nested.mkdir()
    shutil.copy(
        ROOT / "fixtures" / "configs" / "moonshotai--Kimi-K2.5.json", nested / "config.json"
    )
    return tmp_path


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A Hub with the repo that the examples name; they only read it."""
    with serve() as endpoint:
        endpoint.commit("moonshotai/Kimi-K2-Instruct", talking_files())
        yield endpoint


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_do_what_they_show(page: Path, folder: Path, hub: Hub) -> None:
    run_examples(page, folder, hub)


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo leaves."""
    place = tmp_path_factory.mktemp("demo")
    subprocess.run([PROGRAM, "demo", "--keep", "k2-demo"], cwd=place, check=True)
    return place / "k2-demo"


# test_readme.py holds the commands of both against each other.
@pytest.mark.parametrize("page", list(sampled(READMES, every=2)), ids=lambda page: page.name)
def test_a_readme_can_be_typed_in_the_folder_that_the_demo_leaves(
    page: Path, demo_folder: Path, tmp_path: Path, hub: Hub
) -> None:
    assert "k2compat demo --keep k2-demo\ncd k2-demo\n" in page.read_text()
    shutil.copytree(demo_folder, tmp_path / "k2-demo")
    run_examples(page, tmp_path / "k2-demo", hub)


def run_examples(page: Path, folder: Path, hub: Hub) -> None:
    """Type each command of the page in the folder, in a shell, and compare what it prints."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "home"),
    }
    for command, expected in examples(page):
        process = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        actual = process.stdout.splitlines()
        assert matches(expected, actual), f"$ {command}\n" + process.stdout
