"""Coercion loses nothing, and says all it did."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k2compat.arguments import check, coerce
from tests.support.model_output import json_objects

types = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array"])
schemas = st.recursive(
    st.one_of(
        st.fixed_dictionaries({"type": types}),
        st.fixed_dictionaries({"type": st.lists(types, min_size=1, max_size=2, unique=True)}),
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"items": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"additionalProperties": inner}),
    ),
    max_leaves=4,
)


def as_strings(value: Any) -> Any:
    """The value with every leaf as the string a careless model makes of it."""
    match value:
        case dict():
            return {key: as_strings(inner) for key, inner in value.items()}
        case list():
            return [as_strings(inner) for inner in value]
        case str():
            return value
    return json.dumps(value)


def tool(schema: object) -> dict[str, Any]:
    return {"function": {"name": "f", "parameters": {"additionalProperties": schema}}}


@given(value=json_objects(), schema=schemas)
def test_every_change_is_told_and_nothing_else_is_done(
    value: dict[str, Any], schema: dict[str, Any]
) -> None:
    arguments = json.dumps(as_strings(value), ensure_ascii=False)
    coerced = coerce(arguments, tool(schema))
    assert coerced.problems == check(coerced.arguments, tool(schema))
    assert bool(coerced.changes) == (coerced.arguments != arguments)
    for change in coerced.changes:
        before, after = json.loads(change.before), json.loads(change.after)
        assert isinstance(before, str) != isinstance(after, str)
        # Nothing is lost: each is the other's JSON text.
        assert change.after == before or after == change.before
    again = coerce(coerced.arguments, tool(schema))
    assert again.arguments == coerced.arguments


@given(text=st.text(max_size=30), schema=schemas)
def test_nothing_raises(text: str, schema: dict[str, Any]) -> None:
    assert coerce(text, tool(schema)).problems == check(text, tool(schema))
