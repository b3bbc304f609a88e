"""Write the list of checks into docs/check-endpoint.md; with --check, only compare."""

import sys
from pathlib import Path

from k2compat.endpoint import checks, plan
from k2compat.findings import catalogue

PAGE = Path(__file__).parents[1] / "docs" / "check-endpoint.md"

_BEGIN = "<!-- The list is made by scripts/make_check_list.py -->\n"
_END = "<!-- end of the list -->\n"


def check_list() -> str:
    """The two tables: checks, and requests."""
    lines = [
        "| code | severity | what must hold | repaired by `k2compat serve` |",
        "| --- | --- | --- | --- |",
    ]
    for code, check in checks().items():
        step = f"`{check.repaired_by}`" if check.repaired_by else ""
        cells = (f"`{code}`", catalogue()[code].severity, check.shows, step)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    lines += ["", "| request | what it shows |", "| --- | --- |"]
    lines += [f"| `{each.name}` | {_cell(each.purpose)} |" for each in plan()]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


def main() -> int:
    """Write the list, or tell whether it is up to date."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(_BEGIN)
    made = f"{head}{_BEGIN}\n{check_list()}\n{_END}{rest.partition(_END)[2]}"
    if "--check" in sys.argv[1:]:
        return 0 if text == made else 1
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
