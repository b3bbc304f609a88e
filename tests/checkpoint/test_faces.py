"""The faces of checkpoint and its rooms: every name is there, and no other."""

from importlib import import_module
from pathlib import Path

import pytest

import k2compat.checkpoint

ROOM = Path(k2compat.checkpoint.__file__).parent
FACES = ["k2compat.checkpoint"] + [
    f"k2compat.checkpoint.{face.parent.name}" for face in sorted(ROOM.glob("*/__init__.py"))
]
MODULES_MAX = 18


@pytest.mark.parametrize("name", FACES)
def test_every_name_of_a_face_is_there(name: str) -> None:
    face = import_module(name)
    assert [each for each in face.__all__ if not hasattr(face, each)] == []
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        face.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", FACES)
def test_no_module_of_a_room_hides_a_name_of_its_face(name: str) -> None:
    """An imported module becomes an attribute of its package, before `__getattr__` is asked."""
    face = import_module(name)
    modules = {path.stem for path in Path(str(face.__file__)).parent.glob("*.py")}
    assert modules.isdisjoint(face.__all__)


def test_no_room_has_more_modules_than_a_reader_takes_in() -> None:
    sizes = {folder.parent: 0 for folder in ROOM.rglob("*.py")}
    for folder in sizes:
        sizes[folder] = len(list(folder.glob("*.py")))
    assert {folder.name: count for folder, count in sizes.items() if count > MODULES_MAX} == {}
