"""Draw the rooms of the package, and which room imports which, from the imports themselves.

    python scripts/draw_rooms.py          writes the diagrams into docs/design.md

An arrow that two others already lead along is left out. Imports for type checkers count; a room
that imports nothing of the package and is imported by nearly all (findings, errors, …) is drawn
as any other.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "design.md"
PACKAGES: Final = ("k2compat", "k2compat.checkpoint", "k2compat.launch")
"""Each has a diagram between two comments of the page that name it."""

Arrows = Mapping[str, frozenset[str]]


def rooms(package: str) -> Arrows:
    """The rooms of a package, each with those that it imports.

    A room is a folder or a module; `__init__` and `__main__` are none.
    """
    folder = ROOT.joinpath(*package.split("."))
    names = {
        path.stem
        for path in folder.iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__"))
        or (path / "__init__.py").exists()
    }
    arrows: dict[str, frozenset[str]] = {}
    for name in sorted(names):
        place = folder / name
        files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
        imported = {room for file in files for room in _imports(file, package)}
        arrows[name] = frozenset(imported & names - {name})
    return arrows


def _imports(file: Path, package: str) -> Iterator[str]:
    """The rooms of a package that a file imports: the part of each name behind the package's."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            if module.startswith(f"{package}."):
                yield module.removeprefix(f"{package}.").partition(".")[0]


def reduced(arrows: Arrows) -> Arrows:
    """The arrows without those that a longer way already shows."""
    return {
        room: frozenset(
            other
            for other in imported
            if not any(other in _reached(arrows, between) for between in imported - {other})
        )
        for room, imported in arrows.items()
    }


def _reached(arrows: Arrows, start: str) -> frozenset[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for other in arrows[waiting.pop()] - reached:
            reached.add(other)
            waiting.append(other)
    return frozenset(reached)


def diagram(package: str) -> str:
    """A package's rooms as a Mermaid flowchart."""
    lines = [
        f"    {room} --> {other}"
        for room, imported in reduced(rooms(package)).items()
        for other in sorted(imported)
    ]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def with_diagrams(text: str) -> str:
    """The page with each of its diagrams drawn anew."""
    for package in PACKAGES:
        begin, end = (f"<!-- rooms of {package}: {word} -->" for word in ("begin", "end"))
        drawn = f"{begin}\n{diagram(package)}\n{end}"
        before, found, rest = text.partition(begin)
        if found:
            text = f"{before}{drawn}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Write the page."""
    PAGE.write_text(with_diagrams(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
