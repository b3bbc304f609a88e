"""The table has an answer to everything, and the docs show it."""

import pytest

from k2compat.toolcalls.machine import TABLE, Action, State
from k2compat.toolcalls.markers import Symbol
from scripts.draw_states import PAGE, with_diagram

STEPS = [step for row in TABLE.values() for step in (*row.steps.values(), row.otherwise)]


IN_PLACE = {State.ID_BETWEEN, State.ID_HEADER, State.SHORT_HEADER, State.IN_STRING}
# Behind the end of the text one of these reads it again, or what came before it.
AGAIN = {Action.READ_AGAIN, Action.TAKE_BACK, Action.CONFIRM}


def test_every_state_has_a_row() -> None:
    assert TABLE.keys() == set(State) - {State.BEFORE}


@pytest.mark.parametrize("state", sorted(set(TABLE) - {State.ID_BETWEEN, State.IN_STRING}))
def test_every_state_ends_with_the_text(state: State) -> None:
    """Two rows are missing: they count for markers alone."""
    row = TABLE[state]
    step = row.steps.get(Symbol.END_OF_TEXT, row.otherwise)
    assert step.next is State.FINISHED or AGAIN & set(step.actions)


def test_every_action_is_taken() -> None:
    assert {action for step in STEPS for action in step.actions} == set(Action)


def test_every_state_is_reached() -> None:
    """Four rows are entered by looking, not by a step."""
    assert {step.next for step in STEPS} == set(State) - IN_PLACE


def test_what_leads_back_is_read_again() -> None:
    back = {Action.TAKE_BACK, Action.CONFIRM, Action.RELEASE, Action.CONFIRM_TURN}
    back |= {Action.RELEASE_TURN, Action.KEEP_AS_TEXT}
    for step in STEPS:
        assert (step.next is not State.BEFORE) or back & set(step.actions)


def test_an_action_that_sets_the_state_leads_to_before() -> None:
    """The next state of such a step would say what does not happen."""
    sets = {Action.TAKE_BACK, Action.CONFIRM, Action.RELEASE, Action.RELEASE_TURN}
    for step in STEPS:
        assert (step.next is State.BEFORE) or not sets & set(step.actions)


def test_a_symbol_is_read_again_last() -> None:
    for step in STEPS:
        assert Action.READ_AGAIN not in step.actions[:-1]


def test_the_docs_show_the_table() -> None:
    page = PAGE.read_text("utf-8")
    assert with_diagram(page) == page, "run: python scripts/draw_states.py --write"
