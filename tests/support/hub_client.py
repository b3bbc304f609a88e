"""Fixtures: an endpoint, the real client turned towards it, and a Hub cache that it filled."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from k2compat.hub import ranges
from k2compat.samples import checkpoint_files
from tests.support.hub_endpoint import Hub, serve

REPO = "moonshotai/Kimi-K2-Tiny"


def repo_files() -> dict[str, bytes]:
    """Every file of a small Kimi-K2-shaped repo, as the Hub has them."""
    return {
        **checkpoint_files(),
        ".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n",
        "LICENSE": b"Modified MIT License\n",
        "figures/banner.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    }


@dataclass(frozen=True)
class HubCache:
    """A Hub cache with one model's files but its weights.

    Attributes:
        hub: The endpoint it came from, which still runs.
        folder: The cache; what HF_HUB_CACHE is to be.
        repo_id: The model.
        snapshot: The folder of its only snapshot.
    """

    hub: Hub
    folder: Path
    repo_id: str
    snapshot: Path

    @property
    def entry(self) -> Path:
        """The model's folder with blobs, refs and snapshots."""
        return self.snapshot.parents[1]

    def environment(self, *, offline: bool = True) -> dict[str, str]:
        """What a process must be told to use this cache and this endpoint."""
        return client_environment(self.hub, self.folder, offline=offline)


def client_environment(hub: Hub, cache: Path, *, offline: bool = False) -> dict[str, str]:
    """What a process must be told to use a cache and an endpoint, and nothing else."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(cache.parent / "hf-home"),
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": str(int(offline)),
        "HF_TOKEN": "",
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A running endpoint without repos."""
    with serve() as running:
        yield running


@pytest.fixture
def client(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Turn the client of this process to the endpoint and a new cache; the cache's folder.

    The client reads the environment when it is imported, so what it read is replaced.
    """
    import huggingface_hub
    from huggingface_hub import constants

    # A Hub out of order is asked again at once: the real waits are 7.5 seconds in all.
    monkeypatch.setattr(ranges, "WAITS", (0.0,) * len(ranges.WAITS))
    for name, value in client_environment(hub, tmp_path / "cache").items():
        monkeypatch.setenv(name, value)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    huggingface_hub.close_session()
    yield tmp_path / "cache"
    huggingface_hub.close_session()


@pytest.fixture(scope="session")
def _filled_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Path, Path]]:
    import huggingface_hub
    from huggingface_hub import constants

    folder = tmp_path_factory.mktemp("hub") / "cache"
    with serve() as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setenv("NO_PROXY", "127.0.0.1")
        running.commit(REPO, repo_files())
        huggingface_hub.close_session()
        snapshot = huggingface_hub.snapshot_download(
            REPO,
            cache_dir=folder,
            endpoint=running.url,
            token=False,
            ignore_patterns=["*.safetensors"],
        )
        huggingface_hub.close_session()
        yield running, folder, Path(snapshot)


@pytest.fixture
def hub_cache(_filled_cache: tuple[Hub, Path, Path], tmp_path: Path) -> HubCache:
    """A Hub cache with the small repo, the test's own."""
    running, filled, snapshot = _filled_cache
    folder = tmp_path / "hub-cache"
    shutil.copytree(filled, folder, symlinks=True)
    return HubCache(running, folder, REPO, folder / snapshot.relative_to(filled.resolve()))
