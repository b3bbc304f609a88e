"""A model and its GGUFs, which most tests of staging begin with."""

from pathlib import Path

import pytest

from tests.support.models import make_ggufs, make_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def ggufs(tmp_path: Path) -> Path:
    return make_ggufs(tmp_path / "ggufs")
