"""The state table with its actions resolved."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ..machine import TABLE, Action, State, Step
from ..markers import Symbol
from . import actions
from .state import TurnState
from .units import Unit


class Plan(NamedTuple):
    """A step of the table, ready to run.

    Attributes:
        next: the next state, or None for BEFORE: an action sets it.
        runs: what carries out the actions.
        holds: whether HOLD is one of them.
        holds_turn: whether HOLD_TURN is one of them.
    """

    next: State | None
    runs: tuple[Callable[[TurnState, Unit], None], ...]
    holds: bool
    holds_turn: bool


def _plan(step: Step) -> Plan:
    # Each action is the function of its name.
    return Plan(
        None if step.next is State.BEFORE else step.next,
        tuple(vars(actions)[action.name.lower()] for action in step.actions),
        Action.HOLD in step.actions,
        Action.HOLD_TURN in step.actions,
    )


# The table is looked up for each marker, so its actions are resolved once.
PLANS: Final[Mapping[State, tuple[Mapping[Symbol, Plan], Plan]]] = {
    state: (
        {symbol: _plan(step) for symbol, step in row.steps.items()},
        _plan(row.otherwise),
    )
    for state, row in TABLE.items()
}
