"""The checkpoints whose whole validation is pinned: samples, damaged folders, GGUFs, engines.

`golden.json` holds two digests for each: of what was found, and of the words in which it is
printed. A change of words alone renews only the second. To see what a change does, write the
outputs before and after it, and compare the folders:

    python -m tests.checkpoint.golden DIR        # one file a validation
    python -m tests.checkpoint.golden --pin      # accept today's outputs: renews golden.json
"""

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from k2compat.cli.main import run
from k2compat.samples import VARIANTS
from tests.checkpoint.gguf_files.gguf_cases import BROKEN, SOUND, Case
from tests.checkpoint.gguf_files.gguf_models import tiny
from tests.checkpoint.test_validation_tensors import DEFECTS
from tests.support.amount import sampled
from tests.support.drafts import LAYER_1, Draft, draft
from tests.support.file_damage import POINTER
from tests.support.models import make_ggufs, make_model

PINNED = Path(__file__).with_suffix(".json")
ENGINES = ("vllm", "sglang", "ktransformers", "trtllm", "transformers", "llama.cpp")
QUANTIZATIONS: dict[str, dict[str, Any]] = {
    "nvfp4": {"quant_method": "modelopt", "quant_algo": "NVFP4"},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128},
    "without a method": {"bits": 4},
    "fp8 of other blocks": {"quant_method": "fp8", "weight_block_size": [64, 64]},
}
WORDS = ("message", "fix", "not_checked")
"""Members of the JSON document that are prose."""


class Pinned(NamedTuple):
    """A validation.

    Attributes:
        name: Tells it apart.
        make: Writes the checkpoint into a folder.
        options: Of the command.
    """

    name: str
    make: Callable[[Path], object]
    options: Sequence[str] = ()


def _mixed(folder: Path) -> None:
    make_model(folder)
    make_ggufs(folder)


def _strays(folder: Path) -> None:
    make_ggufs(folder, joint_mla=False)
    (folder / "below").mkdir()
    (folder / "below" / "model.safetensors").write_bytes(b"0")
    (folder / "more").symlink_to(folder.parent, target_is_directory=True)


def _split(folder: Path) -> None:
    for number, member in enumerate(tiny().split(3), start=1):
        member.write(folder / f"K2-0000{number}-of-00003.gguf")
    (folder / "K2-00002-of-00003.gguf").unlink()


def _pointers(folder: Path) -> None:
    make_model(folder)
    for number in range(1, 8):
        (folder / f"model-{number}-of-7.safetensors").write_bytes(POINTER)


def _truncated(folder: Path) -> None:
    make_model(folder)
    shard = folder / LAYER_1
    shard.write_bytes(shard.read_bytes()[:-100])


def _overwritten(filler: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        make_model(folder)
        for shard in folder.glob("model-[12]-*.safetensors"):
            content = shard.read_bytes()
            shard.write_bytes(content[: -len(content) // 2] + filler * (len(content) // 2))

    return make


def _without(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        make_model(folder)
        (folder / name).unlink()

    return make


def _renamed(folder: Path) -> None:
    made = draft()
    made.config["model_type"] = "deepseek_v3"
    made.write(folder)


def _damaged(damage: Callable[[Draft], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        made = draft()
        damage(made)
        return made.write(folder)

    return make


def _quantized(quantization: dict[str, Any]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        made = draft()
        made.config["quantization_config"] = quantization
        return made.write(folder)

    return make


def _gguf(case: Case) -> Callable[[Path], Path]:
    return lambda folder: case.make().write(folder / "model.gguf")


FOLDERS: dict[str, Callable[[Path], object]] = {
    "sample": make_model,
    "ggufs": make_ggufs,
    "mixed": _mixed,
    "strays": _strays,
    "split set with a gap": _split,
    "pointers": _pointers,
    "truncated": _truncated,
    "zeros": _overwritten(b"\0"),
    "NaN": _overwritten(b"\xff"),
    "called deepseek_v3": _renamed,
    "without config.json": _without("config.json"),
    "without modeling_deepseek.py": _without("modeling_deepseek.py"),
    "nothing": lambda folder: folder.mkdir(exist_ok=True),
}


def validations() -> Iterator[Pinned]:
    """Every validation that is pinned."""
    for variant in VARIANTS:
        yield Pinned(f"variant {variant}", draft(variant).write)
    for name, make in FOLDERS.items():
        yield Pinned(name, make)
        yield Pinned(f"{name} --deep", make, ["--deep"])
        for engine in ENGINES:
            yield Pinned(f"{name} --engine {engine}", make, ["--engine", engine])
    for damage, *_ in DEFECTS:
        yield Pinned(damage.__name__, _damaged(damage))
    for name, quantization in QUANTIZATIONS.items():
        yield Pinned(f"quantization {name}", _quantized(quantization))
    for case in (*SOUND, *BROKEN):
        yield Pinned(f"GGUF {case.code}, {case.what}", _gguf(case))


class Printed(NamedTuple):
    """What a validation prints as text and as a JSON document, with its exit status."""

    text: str
    document: str

    @property
    def found(self) -> str:
        """The document without its prose."""
        return json.dumps(_without_words(json.loads(self.document)), sort_keys=True)


def _without_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_words(each) for key, each in value.items() if key not in WORDS}
    return [_without_words(each) for each in value] if isinstance(value, list) else value


def outputs(every: int = 1) -> Iterator[tuple[str, Printed]]:
    """Every pinned validation, or each `every`-th in the daily run, and what it prints."""
    for pinned in sampled(validations(), every):
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "model"
            folder.mkdir()
            pinned.make(folder)
            line = ["validate", str(folder), *pinned.options]
            out, err = _printed(line, Path(parent))
            document, _ = _printed([*line, "--json"], Path(parent))
        text = f"{out}{err}"
        yield (
            pinned.name,
            Printed(text.replace(parent, "PARENT"), document.replace(parent, "PARENT")),
        )


def _printed(line: Sequence[str], folder: Path) -> tuple[str, str]:
    """What a command writes to stdout, and to stderr with its exit status in front."""
    files = folder / "stdout", folder / "stderr"
    kept = [os.dup(number) for number in (1, 2)]
    try:
        with (
            files[0].open("w", encoding="utf-8") as out,
            files[1].open("w", encoding="utf-8") as err,
        ):
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            with redirect_stdout(out), redirect_stderr(err):
                status = run(line)
    finally:
        for number, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
    out_text, err_text = (file.read_text(encoding="utf-8") for file in files)
    return out_text, f"exit status {status}\n{err_text}"


def digests(printed: Printed) -> dict[str, str]:
    """What `golden.json` holds of a validation."""
    return {"found": _digest(printed.found), "words": _digest("".join(printed))}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main(arguments: Sequence[str]) -> None:
    """Write every output into a folder, or pin what is printed today."""
    if list(arguments) == ["--pin"]:
        pinned = {name: digests(printed) for name, printed in outputs()}
        PINNED.write_text(json.dumps(pinned, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    target = Path(arguments[0])
    target.mkdir(parents=True)
    for name, printed in outputs():
        file = re.sub(r"[^\w.,=-]+", "_", name)
        (target / f"{file}.txt").write_text("".join(printed), encoding="utf-8")
        (target / f"{file}.found").write_text(printed.found + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
