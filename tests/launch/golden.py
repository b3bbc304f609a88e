"""The commands whose whole output is pinned: 4 engines × strategies × formats × versions.

`golden.json` holds the exit status and a digest of stdout and stderr of each. To see what a change
does, write the outputs before and after it, and compare the folders:

    python -m tests.launch.golden DIR        # one file a command
    python -m tests.launch.golden --pin      # accept today's outputs: renews golden.json
"""

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from k2compat.cli.main import run
from k2compat.launch.render import FORMATS
from tests.support import guide
from tests.support.amount import sampled

PINNED = Path(__file__).with_suffix(".json")
NODES = ["--nodes", "10.0.0.1,10.0.0.2"]
GROUPS = ["--prefill-nodes", "10.0.0.1,10.0.0.2", "--decode-nodes", "10.0.0.3,10.0.0.4"]
MODEL = "moonshotai/Kimi-K2-Instruct"

# The versions at which something that is rendered changes; the newest is rendered without a number.
VERSIONS = {
    "vllm": ("0.10.0", "0.11.2", "0.13.0", "0.18.0", "0.28.0"),
    "sglang": ("0.4.9.post2", "0.5.2", "0.5.3", "0.5.5"),
    "ktransformers": ("0.3.2", "0.4.1", "0.4.2", "0.5.1"),
    "trtllm": ("1.0.0rc2",),
}
STRATEGIES = {
    "vllm": ("tp", "tep", "tp-pp", "dp-ep"),
    "sglang": ("tp", "tep", "tp-pp", "dp-ep", "pd"),
    "ktransformers": ("tp",),
    "trtllm": ("tp", "tep", "tp-pp", "dp-ep"),
}
# Options that reach other rows of the profiles, and findings.
EXTRAS: Sequence[tuple[str, Sequence[str]]] = (
    ("vllm", (*NODES, "--profile", "guide", "--strategy", "tp")),
    ("vllm", (*NODES, "--profile", "guide", "--strategy", "dp-ep")),
    ("vllm", (*NODES, "--executor", "ray", "--interface", "bond0", "--gpu", "h20")),
    ("vllm", ("--nodes", "4", "--gpu", "h800", "--context", "131072")),
    ("vllm", ("--gpu", "h200")),
    ("vllm", ("--gpu", "h200", "--force", "--rpc-port", "9", "--amx", "--ssh-port", "7")),
    ("vllm", (*NODES, "--gpu", "h200", "--explain-fit")),
    ("vllm", (*NODES, "--set", "max-num-seqs=64", "--set", "no-enable-prefix-caching")),
    (
        "vllm",
        (
            "--set",
            "swap-space=4",
        ),
    ),
    ("vllm", (*NODES, "--image", "<IMAGE>", "--format", "compose")),
    ("vllm", (*NODES, "--draft", "lightseekorg/kimi-k2.5-eagle3-mla", "--gpu", "h200")),
    ("sglang", (*GROUPS, "--profile", "guide", "--strategy", "pd")),
    ("sglang", (*GROUPS, "--draft", "$DRAFT", "--engine-version", "0.5.4")),
    ("trtllm", (*NODES, "--draft", "/drafts/eagle3", "--format", "slurm")),
    ("sglang", (*NODES, "--profile", "guide", "--strategy", "tp")),
    ("sglang", (*GROUPS, "--ib-device", "mlx5_0", "--interface", "eth0", "--gpu", "h800")),
    ("ktransformers", ("--profile", "guide", "--amx")),
    ("ktransformers", ("--gguf-path", "/gguf", "--amx")),
    ("ktransformers", ("--gguf-path", "/gguf", "--image", "k")),
    ("trtllm", (*NODES, "--profile", "guide", "--strategy", "tp")),
    ("trtllm", (*NODES, "--ssh-port", "2200", "--image", "nvcr.io/x:1", "--format", "slurm")),
    ("trtllm", (*NODES, "--gpu", "h800", "--interface", "ens1")),
)


def commands() -> Iterator[list[str]]:
    """The arguments of every pinned command."""
    for engine, strategies in STRATEGIES.items():
        for strategy in strategies:
            yield from _launches(engine, strategy)
    for engine, options in EXTRAS:
        for tail in ([], ["--json"]):
            yield ["launch", engine, MODEL, *options, *tail]
    for model in ("moonshotai/Kimi-K2-Thinking", "moonshotai/Kimi-K2.5", "$MODEL_PATH", "/m/K 2"):
        for engine in STRATEGIES:
            yield ["launch", engine, model]
            yield ["preflight", engine, model, "--gpu", "h200"]
    for version in ([], ["--engine-version", "vllm=0.18.0"], ["--engine-version", "sglang=0.5.3"]):
        for tail in ([], ["--json"]):
            yield ["modernize", "GUIDE", *version, *tail]


def _launches(engine: str, strategy: str) -> Iterator[list[str]]:
    nodes = [] if engine == "ktransformers" else GROUPS if strategy == "pd" else NODES
    many = [*nodes, "--strategy", strategy]
    for version in ([], *(["--engine-version", number] for number in VERSIONS[engine])):
        for tail in ([], ["--json"]):
            yield ["launch", engine, MODEL, *many, *version, *tail]
    counts = [re.sub(r"10\.0\.0\.\d,10\.0\.0\.\d", "2", word) for word in many]
    for name in FORMATS[1:]:
        place = counts if name in ("slurm", "lws") else many
        yield ["launch", engine, MODEL, *place, "--format", name, "--out", "OUT"]
    yield ["preflight", engine, MODEL, *many, "--gpu", "h20", "--json"]


def output(arguments: Sequence[str], folder: Path) -> str:
    """What a command prints and writes, with its exit status.

    Args:
        arguments: One of `commands()`; GUIDE and OUT stand for paths in `folder`.
        folder: An empty folder for the files of the command.
    """
    (folder / "GUIDE").write_text(guide.WHOLE, encoding="utf-8")
    filled = [str(folder / word) if word in ("GUIDE", "OUT") else word for word in arguments]
    kept = os.dup(1), os.dup(2)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            with (
                open(1, "w", encoding="utf-8", closefd=False) as words,
                open(2, "w", encoding="utf-8", closefd=False) as errors,
                redirect_stdout(words),
                redirect_stderr(errors),
            ):
                status = run(filled)
        finally:
            for number, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
    made = sorted(path for path in (folder / "OUT").rglob("*") if path.is_file())
    parts = [folder / "out", folder / "err", *made]
    texts = [
        f"--- {part.relative_to(folder)}\n{part.read_text(encoding='utf-8')}" for part in parts
    ]
    return f"exit status {status}\n{''.join(texts)}".replace(str(folder), "FOLDER")


def outputs(every: int = 1) -> Iterator[tuple[str, str]]:
    """Every pinned command as it is typed, or each `every`-th in the daily run, and its output."""
    for arguments in sampled(commands(), every):
        with tempfile.TemporaryDirectory() as folder:
            yield " ".join(arguments), output(arguments, Path(folder))


def digest(text: str) -> str:
    """What `golden.json` holds of an output."""
    return f"{text.splitlines()[0]}, {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def main(arguments: Sequence[str]) -> None:
    """Write every output into a folder, or pin what is printed today."""
    if list(arguments) == ["--pin"]:
        pinned = {command: digest(text) for command, text in outputs()}
        PINNED.write_text(json.dumps(pinned, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    target = Path(arguments[0])
    target.mkdir(parents=True)
    for command, text in outputs():
        name = re.sub(r"[^\w.,=-]+", "_", command)
        (target / f"{name}.txt").write_text(f"{command}\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
