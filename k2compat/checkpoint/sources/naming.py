"""The order of numbered files."""

import re


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts model-2 before model-10."""
    return [
        (int(part), "") if part.isdigit() and len(part) < 20 else (-1, part)
        for part in re.split(r"([0-9]+)", name)
    ]
