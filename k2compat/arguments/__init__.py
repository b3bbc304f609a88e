"""A finished call's arguments: check them against a schema, coerce values, repair the JSON.

The parser passes arguments on as the model wrote them. These functions work on a
finished call: `check` lists the values that do not fit the tool's JSON Schema;
`coerce` changes values that only have the wrong type; `repair` turns text that is
nearly JSON into JSON.

Nothing that the model wrote raises. An invalid schema raises `RefusedError`: that is
the caller's fault. Nothing is ever fetched: a `$ref` out of the schema makes the
schema invalid.
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
