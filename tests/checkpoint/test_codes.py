"""The codes the room uses are those it explains."""

import re
from pathlib import Path

from k2compat import checkpoint
from k2compat.findings import catalogue

ROOM = Path(checkpoint.__file__).parent
EXPLAINED = {code: entry for code, entry in catalogue().items() if entry.room == ROOM.name}


def test_every_code_in_the_source_is_explained_and_every_explained_code_is_used() -> None:
    families = "|".join(sorted({code.split("-")[0] for code in EXPLAINED}))
    code = re.compile(rf'"((?:{families})-[a-z0-9-]+)"')
    tables = set(ROOM.rglob("*.toml")) - {ROOM / "codes.toml"}
    sources = [path.read_text(encoding="utf-8") for path in (*ROOM.rglob("*.py"), *tables)]
    assert {found for source in sources for found in code.findall(source)} == set(EXPLAINED)


def test_every_explanation_has_a_cause_and_a_cure() -> None:
    for entry in EXPLAINED.values():
        for text in (entry.summary, entry.cause, entry.cure):
            assert text.endswith("."), entry.code
            assert text == text.strip(), entry.code
