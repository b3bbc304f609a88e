"""A mistake in a table of an engine is refused with the file and the place in it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.launch import engines
from k2compat.launch.engines.memory_flags import memory_flags_of
from k2compat.launch.flags.history import changes_of
from k2compat.launch.flags.loading import table_versions
from k2compat.launch.flags.programs import programs_of
from k2compat.launch.preflight.requirements import needs_of

MADE_UP = Path(__file__).with_name("engines") / "made_up" / "quickserve"

READERS: dict[str, Callable[[str], object]] = {
    "history.toml": lambda engine: changes_of(engine, "run"),
    "entry_points.toml": programs_of,
    "requirements.toml": needs_of,
    "memory.toml": memory_flags_of,
    "flags.json": table_versions,
}


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("history.toml", '"renamed"', '"refusd"', r"'refusd' - at `\$.change\[0\].kind`"),
        ("history.toml", "takes = 1", "values = [0]", r"got `int` - at `\$.change\[0\].values"),
        ("history.toml", "takes = 1", "above_gpu = true", "unknown field `above_gpu`"),
        ("history.toml", "[[change]]", "[[change", "history.toml: "),
        ("entry_points.toml", 'model = ""', "model = 1", r"got `int` - at `\$.entry\[0\].model`"),
        ("requirements.toml", "default = 7000", 'default = "7000"', r"at `\$.ports\[0\].default`"),
        ("memory.toml", "share", "shares", "unknown field `shares`"),
        ("flags.json", '"type": "int"', '"type": "integer"', r"at `\$.tables\[0\].entries"),
    ],
)
def test_a_mistake_is_refused_with_its_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    file: str,
    old: str,
    new: str,
    words: str,
) -> None:
    name = f"wrong{abs(hash(request.node.name))}"  # tables are kept by the engine's name
    shutil.copytree(MADE_UP, tmp_path / name)
    path = tmp_path / name / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(engines, "__path__", [str(tmp_path)])
    with pytest.raises(ValueError, match=words) as refused:
        READERS[file](name)
    assert str(path) in str(refused.value)


def test_without_a_history_nothing_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(MADE_UP, tmp_path / "without")
    (tmp_path / "without" / "history.toml").unlink()
    monkeypatch.setattr(engines, "__path__", [str(tmp_path)])
    assert changes_of("without", "run") == ()
