"""Whether a model's weights are all there; `checkpoint.companions` knows about the rest."""

from collections.abc import Iterator

from k2compat.checkpoint.companions import read_members
from k2compat.checkpoint.model_folder import ModelFolder
from k2compat.findings import Codes, Finding

_codes = Codes("launch")

_INDEX = "model.safetensors.index.json"
_SHOWN = 3


def check_ggufs(folder: ModelFolder) -> Iterator[Finding]:
    """Find that a folder holds no GGUF."""
    if not folder.ending_with(".gguf"):
        yield _missing(folder, [], "No GGUF is there.", "*.gguf")


def check_safetensors(folder: ModelFolder) -> Iterator[Finding]:
    """Find weight files that the index names and the folder lacks. Reads the index."""
    present = set(folder.ending_with(".safetensors"))
    index = read_members(folder, _INDEX)
    if isinstance(index, Finding):
        yield index
        return
    shards = index.get("weight_map") if index else None
    names = set(shards.values()) if isinstance(shards, dict) else set()
    missing = sorted(str(name) for name in names - present)
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (" …" if len(missing) > _SHOWN else "")
        message = f"{len(missing)} of {len(names)} weight files are missing: {shown}."
        yield _missing(folder, missing, message, f"the {len(names)} files of {_INDEX}")
    elif not present:
        yield _missing(folder, [], "No weights are there.", "*.safetensors")


def _missing(folder: ModelFolder, names: list[str], message: str, expected: str) -> Finding:
    return _codes.finding(
        "weights-missing",
        folder.root,
        message,
        count=max(1, len(names)),
        expected=expected,
        fix="hf download REPO --local-dir MODEL  (continues where it stopped)",
    )
