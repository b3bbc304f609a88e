"""The codes in the source are the codes that are explained."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

ROOM = Path(str(files("k2compat.gateway")))
EXPLAINED = tomllib.loads((ROOM / "codes.toml").read_text("utf-8"))
SOURCE = "\n".join(path.read_text("utf-8") for path in sorted(ROOM.rglob("*.py")))


def test_every_code_is_used() -> None:
    assert not [code for code in EXPLAINED if f'"{code}"' not in SOURCE]


def test_every_code_in_the_source_is_explained() -> None:
    used = re.findall(r'"((?:request|history|upstream|answer|gateway|key|serve)-[a-z-]+)"', SOURCE)
    assert set(used) - {"history-ids"} <= set(EXPLAINED)


def test_explanations_are_whole() -> None:
    for code, entry in EXPLAINED.items():
        assert entry.keys() == {"severity", "summary", "cause", "cure"}, code
        assert entry["summary"].endswith("."), code
        assert entry["cause"].endswith("."), code
