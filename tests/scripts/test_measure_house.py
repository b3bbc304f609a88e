"""The count of returns, on a made-up package with three rooms."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from scripts.measure_house import Follower, modules_entered

SOURCES = {
    "__init__.py": "",
    "kitchen/__init__.py": "",
    "kitchen/pans.py": """
        from made_up_house.values import Pan

        def wash():
            return Pan("small")

        def dry(pan):
            return pan.shown()
    """,
    "kitchen/knives.py": """
        def sharpen():
            return "sharp"
    """,
    "values.py": """
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Pan:
            name: str

            def shown(self):
                return self.name
    """,
    "door.py": """
        from made_up_house.kitchen import knives, pans

        def stay():
            return sorted(["b", "a"], key=lambda word: word)

        def visit_once():
            return pans.wash()

        def visit_two_modules_of_a_room():
            return [pans.wash(), knives.sharpen()]

        def visit_again():
            return [knives.sharpen(), knives.sharpen()]

        def visit_a_value():
            return pans.dry(pans.wash())
    """,
}


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    for name, text in SOURCES.items():
        path = tmp_path / "made_up_house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.splitlines()
        path.write_text("\n".join(line.removeprefix("        ") for line in lines))
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("made_up_house.door")
    for name in [name for name in sys.modules if name.startswith("made_up_house")]:
        del sys.modules[name]


def followed(door: ModuleType, function: str, *, values: bool = True) -> Follower:
    follower = Follower("made_up_house", values=values)
    follower.follow(getattr(door, function))
    return follower


def test_a_function_that_stays_in_its_room_has_no_return(door: ModuleType) -> None:
    follower = followed(door, "stay")
    assert (follower.rooms, follower.returns) == (["door"], 0)


def test_a_visit_returns_to_the_room_of_its_caller(door: ModuleType) -> None:
    follower = followed(door, "visit_once")
    assert (follower.rooms, follower.returns) == (["door", "kitchen", "door"], 1)


def test_the_modules_of_a_sub_package_are_one_room(door: ModuleType) -> None:
    follower = followed(door, "visit_two_modules_of_a_room")
    assert follower.rooms == ["door", "kitchen", "door", "kitchen", "door"]
    assert follower.returns == 3  # the kitchen once, the door twice


def test_a_function_is_entered_the_first_time_only(door: ModuleType) -> None:
    assert followed(door, "visit_again").rooms == ["door", "kitchen", "door"]


def test_a_method_of_a_value_counts_where_values_do(door: ModuleType) -> None:
    rooms = ["door", "kitchen", "door", "kitchen", "values", "kitchen", "door"]
    assert followed(door, "visit_a_value").rooms == rooms
    without = ["door", "kitchen", "door", "kitchen", "door"]
    assert followed(door, "visit_a_value", values=False).rooms == without


def test_a_method_that_a_dataclass_generates_never_counts(door: ModuleType) -> None:
    assert "values" not in followed(door, "visit_once").rooms  # though Pan() runs its __init__


def test_modules_are_those_of_which_a_function_runs() -> None:
    from k2compat.shell_line import shell_line

    assert modules_entered(lambda: shell_line("a b")) == {"k2compat.shell_line"}
    assert modules_entered(lambda: None) == set()
