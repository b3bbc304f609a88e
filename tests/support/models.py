"""Small models on disk, as a person has them before staging."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from k2compat.samples import checkpoint_files, write_gguf

# What staging brings beside a GGUF: all files of the sample but its weights.
STAGED = tuple(sorted(name for name in checkpoint_files() if not name.endswith(".safetensors")))


def make_model(folder: Path) -> Path:
    """Write the sample checkpoint into a new folder."""
    for name, content in checkpoint_files().items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def make_ggufs(folder: Path, name: str = "tiny.gguf", *, joint_mla: bool = True) -> Path:
    """Write a folder with one GGUF of the sample model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(_gguf_bytes(joint_mla))
    return folder


@cache
def _gguf_bytes(joint_mla: bool) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write_gguf(path, joint_mla=joint_mla)
        return path.read_bytes()


def tree(folder: Path) -> dict[str, bytes | str]:
    """Every file below a folder with its bytes, and every link with its destination."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
