"""Find words that the project's prose does without.

    python scripts/check_prose.py [FILE…]        exit 1 if there are any

A reader from anywhere decodes "nobody" and "mend" more slowly than "no process" and "fix". The
list holds only words that have a plainer one in every context; docs/findings.md is generated, so
its words are found in the rooms' codes.toml. Finding codes keep their names (guide-dollar-mended):
users have them in lists of --ignore.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BANNED: Final = re.compile(
    r"(?<![-\w])(?:mend(?:s|ed|ing)?|be it|nobody|somebody|wholes|(?:is|are) told)\b", re.IGNORECASE
)
FOLDERS: Final = ("k2compat", "tests", "tests_engines", "scripts", "docs")
PAGES: Final = ("README.md", "CONTRIBUTING.md")
SUFFIXES: Final = (".py", ".md", ".toml")

GENERATED: Final = ("docs/findings.md",)
QUOTED: Final = ("scripts/check_prose.py", "tests/scripts/test_check_prose.py")
"""Where these words are quoted."""


def files() -> Iterator[Path]:
    """Every file of prose or code that is checked."""
    for folder in FOLDERS:
        yield from sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES)
    yield from (ROOT / page for page in PAGES)


def is_checked(path: Path) -> bool:
    """Whether a file is neither generated nor one that quotes these words."""
    relative = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
    return relative not in GENERATED and not relative.startswith(QUOTED)


def banned_words(paths: Iterable[Path]) -> Iterator[str]:
    """A line for each banned word: file, line number, word."""
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for found in BANNED.finditer(line):
                yield f"{path}:{number}: {found[0]!r}"


def main(arguments: list[str]) -> int:
    """Print what was found; 1 if there was any."""
    paths = map(Path, arguments) if arguments else filter(is_checked, files())
    found = list(banned_words(paths))
    print("\n".join(found) or "no banned words")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
