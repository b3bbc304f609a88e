"""A whole checkpoint is sound; each thing that goes wrong is found, by its code and place."""

from pathlib import Path

import pytest

from k2compat.checkpoint import validate
from tests.support.models import make_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def test_a_whole_checkpoint_is_sound(model: Path) -> None:
    validation = validate(model)
    assert {finding.severity for finding in validation.report} == {"info"}
    assert validation.variant == "kimi_k2 fp8"
