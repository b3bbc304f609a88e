"""The codes in the source are the codes that are explained."""

import tomllib
from importlib.resources import files
from pathlib import Path

from k2compat.toolcalls import codes

EXPLAINED = tomllib.loads(files("k2compat.toolcalls").joinpath("codes.toml").read_text("utf-8"))
NAMED = {name: value for name, value in vars(codes).items() if name.isupper()}


def test_codes_in_source_are_the_codes_explained() -> None:
    assert sorted(NAMED.values()) == sorted(EXPLAINED)


def test_names_follow_codes() -> None:
    assert all(name.lower().replace("_", "-") == value for name, value in NAMED.items())


def test_every_code_is_used() -> None:
    package = Path(codes.__file__).parent
    source = "".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    assert all(f"codes.{name}" in source for name in NAMED)


def test_explanations_are_whole() -> None:
    for code, entry in EXPLAINED.items():
        assert entry.keys() == {"severity", "summary", "cause", "cure"}, code
        assert entry["severity"] in {"error", "warning", "info"}, code
        assert "\n" not in entry["summary"], code
        assert all(text.endswith(".") for key, text in entry.items() if key != "severity"), code
