"""Draws the parser's state machine, from its table, into docs/format.md.

python scripts/draw_states.py            prints the diagram
python scripts/draw_states.py --write    puts it into the page
"""

import sys
from pathlib import Path

from k2compat.toolcalls.machine import TABLE, Action, State, Step
from k2compat.toolcalls.markers import Symbol

PAGE = Path(__file__).parents[1] / "docs" / "format.md"
BEGIN = "<!-- drawn by scripts/draw_states.py -->\n"
END = "<!-- end of the drawing -->\n"


def words(name: str) -> str:
    """A name as words: `CALL_BEGIN` becomes `call begin`."""
    return name.lower().replace("_", " ")


def verdict(step: Step) -> str:
    """What a step decides about what was held, if it does."""
    if {Action.CONFIRM, Action.CONFIRM_TURN} & set(step.actions):
        return "confirmed by "
    if Action.TAKE_BACK in step.actions:
        return "taken back at "
    released = {Action.RELEASE, Action.RELEASE_TURN} & set(step.actions)
    return "taken for text at " if released else ""


def diagram() -> str:
    """The table as a Mermaid state diagram; steps back to the same state are left out."""
    arrows: dict[tuple[State, State, str], list[str]] = {}
    for state, row in TABLE.items():
        steps = [(words(symbol.name), row.steps.get(symbol)) for symbol in Symbol]
        for name, step in (*steps, ("anything else", row.otherwise)):
            if step is not None and step.next is not state:
                arrows.setdefault((state, step.next, verdict(step)), []).append(name)
    lines = [
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {State.OUTSIDE.name}",
        f"    {State.BETWEEN.name} --> {State.ID_BETWEEN.name}: an argument marker after an id",
        f"    {State.HEADER.name} --> {State.ID_HEADER.name}: a marker, and the header is an id",
        f"    {State.HEADER.name} --> {State.SHORT_HEADER.name}: a marker, and it may become one",
        *(
            f"    {state.name} --> {State.IN_STRING.name}: a marker inside an open string"
            for state in (State.ARGUMENTS, State.OBJECT_HEADER)
        ),
    ]
    lines += [
        f"    {state.name} --> {then.name}: {found}{', '.join(symbols)}"
        for (state, then, found), symbols in arrows.items()
    ]
    lines += [f"    {State.FINISHED.name} --> [*]", "```"]
    return "\n".join(lines) + "\n"


def with_diagram(page: str) -> str:
    """The page with the diagram between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + diagram() + END + after


def main() -> None:
    """Print the diagram, or write it."""
    if "--write" in sys.argv[1:]:
        PAGE.write_text(with_diagram(PAGE.read_text("utf-8")), "utf-8")
    else:
        print(diagram(), end="")


if __name__ == "__main__":
    main()
