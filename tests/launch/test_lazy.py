"""The faces of launch and its rooms: every name is there, and no other."""

from importlib import import_module

import pytest

ROOMS = ("request", "memory", "engines", "flags", "planning", "render", "preflight", "modernize")


@pytest.mark.parametrize(
    "name", ["k2compat.launch", *(f"k2compat.launch.{room}" for room in ROOMS)]
)
def test_every_name_of_a_face_is_there(name: str) -> None:
    face = import_module(name)
    assert [each for each in face.__all__ if not hasattr(face, each)] == []
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        face.no_such_name  # noqa: B018
