"""Write docs/findings.md from the catalogue of codes; with --check, only compare."""

import sys
from itertools import groupby
from pathlib import Path

from k2compat.findings import Explanation, catalogue

PAGE = Path(__file__).parents[1] / "docs" / "findings.md"

_HEAD = """# Codes

What `k2compat explain CODE` says, for all codes. A finding of severity error makes a command exit
with 1, a refusal with 2. Made by `scripts/make_findings_page.py`.
"""


def page() -> str:
    """The page's text."""
    parts = [_HEAD]
    for room, entries in groupby(catalogue().values(), key=lambda entry: entry.room):
        parts.append(f"## {room or 'general'}\n")
        parts += [_section(entry) for entry in entries]
    return "\n".join(parts)


def _section(entry: Explanation) -> str:
    return (
        f"### `{entry.code}` ({entry.severity})\n\n{entry.summary}\n\n"
        f"- **Cause:** {entry.cause}\n- **Cure:** {entry.cure}\n"
    )


def main() -> int:
    """Write the page, or tell whether it is up to date."""
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
