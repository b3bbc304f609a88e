"""What is built is what a user gets: wheel and sdist, and the demo from the wheel alone."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

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


def test_the_wheel_alone_runs_the_demo(distributions: Path, tmp_path: Path) -> None:
    """The wheel goes into an environment of its own; dependencies are lent by this one."""
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    site_packages = environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (wheel,) = distributions.glob("*.whl")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "--python",
            str(python),
            "install",
            "--no-deps",
            "--no-index",
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    lend_dependencies(site_packages)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
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


def lend_dependencies(site_packages: Path) -> None:
    """Link every installed package but k2compat itself."""
    ours = Path(next(path for path in sys.path if path.endswith("site-packages")))
    for entry in ours.iterdir():
        if "k2compat" not in entry.name and not (site_packages / entry.name).exists():
            (site_packages / entry.name).symlink_to(entry)
