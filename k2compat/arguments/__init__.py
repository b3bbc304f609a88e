"""A finished call's arguments: check them against a schema, coerce values, repair the JSON.

The parser passes arguments on as the model wrote them. What to do with them is
asked here, of a finished call: `check` tells what does not fit the tool's JSON
Schema; `coerce`, for those who want it, changes values that only have the wrong
type; `repair`, for those who want it, makes JSON of what is nearly JSON.

What the model wrote never raises. A schema that is none raises `RefusedError`:
that is the caller's. Nothing is ever fetched: a `$ref` out of the schema is a
broken schema.
"""

from k2compat.arguments.checking import PROBLEMS_AT_MOST, ArgumentProblem, check
from k2compat.arguments.coercion import Change, Coerced, coerce
from k2compat.arguments.repairing import Edit, Repaired, repair

__all__ = [
    "PROBLEMS_AT_MOST",
    "ArgumentProblem",
    "Change",
    "Coerced",
    "Edit",
    "Repaired",
    "check",
    "coerce",
    "repair",
]
