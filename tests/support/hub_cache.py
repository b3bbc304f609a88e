"""A Hub cache's layout, made by hand."""

from pathlib import Path

from tests.support.configs import KIMI

_HASH = "0123456789abcdef0123456789abcdef01234567"


def hub_snapshot(cache: Path) -> Path:
    """A snapshot of moonshotai/Kimi-K2-Instruct with a config and a weight file."""
    entry = cache / "models--moonshotai--Kimi-K2-Instruct"
    snapshot = entry / "snapshots" / _HASH
    (entry / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    files = {"config.json": KIMI, "model-1-of-1.safetensors": b"weights"}
    for number, (name, content) in enumerate(files.items()):
        blob = f"{number}" * 40
        (entry / "blobs" / blob).write_bytes(content)
        (snapshot / name).symlink_to(f"../../blobs/{blob}")
    return snapshot
