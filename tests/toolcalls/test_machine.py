"""The table has an answer to everything, and the docs show it."""

import pytest

from k2compat.toolcalls.machine import TABLE, Action, State, Step
from k2compat.toolcalls.markers import Symbol
from scripts.draw_states import PAGE, with_diagram

STEPS = [step for row in TABLE.values() for step in (*row.steps.values(), row.otherwise)]


def test_every_state_has_a_row() -> None:
    assert TABLE.keys() == set(State)


HELD = (State.CALL_END_HELD, State.SECTION_END_HELD, State.TURN_END_HELD)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_state_ends_with_the_text(state: State) -> None:
    """Where a marker is held, it is confirmed first, and the end of the text looked up again."""
    confirmed = Step(State.ARGUMENTS, (Action.CONFIRM,))
    row = TABLE[state]
    step = row.steps.get(Symbol.END_OF_TEXT, row.otherwise)
    assert step == confirmed if state in HELD else step.next is State.FINISHED


def test_every_action_is_taken() -> None:
    assert {action for step in STEPS for action in step.actions} == set(Action)


def test_every_state_is_reached() -> None:
    """IN_STRING is entered by looking, not by a step."""
    assert {step.next for step in STEPS} == set(State) - {State.IN_STRING}


def test_released_text_goes_back_to_the_arguments() -> None:
    for state in HELD:
        assert TABLE[state].otherwise == Step(State.ARGUMENTS, (Action.RELEASE,))


def test_the_docs_show_the_table() -> None:
    page = PAGE.read_text("utf-8")
    assert with_diagram(page) == page, "run: python scripts/draw_states.py --write"
