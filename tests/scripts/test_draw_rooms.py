"""The diagrams of docs/design.md are those of today's imports."""

from scripts.draw_rooms import PACKAGES, PAGE, reduced, rooms, with_diagrams


def test_the_page_shows_the_imports_of_today() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_diagrams(text) == text, "run python scripts/draw_rooms.py"
    for package in PACKAGES:
        assert f"<!-- rooms of {package}: begin -->\n```mermaid" in text


def test_an_arrow_that_others_lead_along_is_left_out() -> None:
    arrows = {
        "a": frozenset({"b", "c"}),
        "b": frozenset({"c"}),
        "c": frozenset[str](),
    }
    assert reduced(arrows) == {"a": {"b"}, "b": {"c"}, "c": frozenset()}


def test_rooms_are_folders_and_modules() -> None:
    found = rooms("k2compat")
    assert {"checkpoint", "findings"} <= found.keys()
    assert "findings" in found["checkpoint"]
    assert not found["errors"] & {"cli", "checkpoint"}
