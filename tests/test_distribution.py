"""What is built is what a user gets: wheel and sdist, and the demo from the wheel alone."""

import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.amount import only_in_test_all

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "k2compat"

# What an installation needs beside the code.
DATA = {
    str(path.relative_to(ROOT))
    for pattern in ("py.typed", "**/*.toml", "**/*.json", "**/*.jinja")
    for path in PACKAGE.glob(pattern)
}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh wheel and sdist; the wheel is built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@only_in_test_all
def test_both_hold_the_code_and_its_data(distributions: Path) -> None:
    code = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")}
    assert "k2compat/py.typed" in DATA
    assert "k2compat/samples/kimi-k2-instruct.json" in DATA
    (wheel,) = distributions.glob("*.whl")
    assert code | DATA <= set(zipfile.ZipFile(wheel).namelist())
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert code | DATA | {"README.md", "LICENSE", "requirements.lock", "Makefile"} <= names


@only_in_test_all
def test_the_wheel_alone_runs_the_demo(distributions: Path, tmp_path: Path) -> None:
    """The wheel goes into an environment of its own; dependencies are lent by this one."""
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    site_packages = environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (wheel,) = distributions.glob("*.whl")
    install(wheel, python)
    lend_dependencies(site_packages)
    clean = clean_environment()
    where = subprocess.run(
        [python, "-c", "import k2compat; print(k2compat.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean,
    )
    assert where.stdout.strip() == str(site_packages / "k2compat" / "__init__.py")
    demo = subprocess.run(
        [environment / "bin" / "k2compat", "demo"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stdout.endswith("All of it went as it should.\n")


# Reads every transcript with the parser-only distribution, in an environment with nothing else.
READ_TRANSCRIPTS = """
import sys, tomllib
from pathlib import Path
from k2compat_toolcalls import parse
from k2compat_toolcalls.chat import assistant_message
from k2compat_toolcalls.plugins import sglang, vllm

def declared(tools):
    return [{"function": {"name": tool["name"], "parameters": {
        "properties": {key: {} for key in tool.get("properties", ())},
        "required": tool.get("required", [])}}} for tool in tools]

count = 0
for path in sorted(Path(sys.argv[1]).glob("*.toml")):
    case = tomllib.loads(path.read_text("utf-8"))
    if case.get("token_ids") == "only":
        continue
    options = case.get("options", {})
    if "tools" in options:
        options["tools"] = declared(options["tools"])
    message = parse("".join(case["text"]), **options)
    expected = case["expected"]
    calls = [(call.id, call.name, call.arguments, call.complete) for call in message.tool_calls]
    assert message.content == expected.get("content"), path
    assert message.reasoning == expected.get("reasoning"), path
    assert message.finish_reason == expected["finish_reason"], path
    assert [problem.code for problem in message.problems] == [
        problem["code"] for problem in expected.get("problems", ())], path
    assert calls == [(call["id"], call["name"], call["arguments"], call["complete"])
        for call in expected.get("tool_calls", ())], path
    assert assistant_message(message)["role"] == "assistant"
    count += 1
vllm.register(), sglang.register()
others = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
print(count, *sorted(others - {"__main__", "_virtualenv", "sitecustomize"}))
"""


@only_in_test_all
def test_the_parser_s_own_distribution_reads_every_transcript(tmp_path: Path) -> None:
    """It is built of the same folder, and installed with nothing else."""
    source = ROOT / "distributions" / "toolcalls"
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run(
        [*command, "--outdir", str(tmp_path), str(source)], check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    folder = PACKAGE / "toolcalls"
    files = {
        f"k2compat_toolcalls/{path.relative_to(folder)}"
        for pattern in ("*.py", "*.toml")
        for path in folder.rglob(pattern)
    }
    archive = zipfile.ZipFile(wheel)
    packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == files | {"k2compat_toolcalls/py.typed", "k2compat_toolcalls/LICENSE"}
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    assert b"Requires-Dist" not in archive.read(metadata)

    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    install(wheel, python)
    transcripts = ROOT / "fixtures" / "transcripts"
    answer = subprocess.run(
        [python, "-c", READ_TRANSCRIPTS, str(transcripts)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert answer.returncode == 0, answer.stderr
    count, *loaded = answer.stdout.split()
    assert int(count) > 100
    assert loaded == ["k2compat_toolcalls"]


def test_both_distributions_name_the_same_entry_points() -> None:
    """Under one name, so that an engine that has both installed runs one of them."""
    groups = []
    for folder in (ROOT, ROOT / "distributions" / "toolcalls"):
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        groups.append(
            {
                group: {
                    name: value.replace("k2compat_toolcalls", "k2compat.toolcalls")
                    for name, value in entries.items()
                }
                for group, entries in project["entry-points"].items()
            }
        )
    assert groups[0] == groups[1]


def install(wheel: Path, python: Path) -> None:
    """Install a wheel, and nothing that it depends on, into an environment."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, check=True, capture_output=True)


def clean_environment() -> dict[str, str]:
    """The environment's variables without those that Python reads."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def lend_dependencies(site_packages: Path) -> None:
    """Link every installed package but k2compat itself."""
    ours = Path(next(path for path in sys.path if path.endswith("site-packages")))
    for entry in ours.iterdir():
        if "k2compat" not in entry.name and not (site_packages / entry.name).exists():
            (site_packages / entry.name).symlink_to(entry)
