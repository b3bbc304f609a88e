"""What `json` itself says about text, the slow way; and values to write."""

import json

import hypothesis.strategies as st

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def as_json_decides(text: str) -> bool:
    """Whether the text is one JSON object, by the standard library."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return isinstance(json.loads(text, parse_constant=refuse), dict)
    except ValueError:
        return False


def string_is_open(text: str) -> bool:
    """Whether a letter could go on inside a string of a JSON object, the slow way."""
    try:
        json.loads(text + "x")
    except json.JSONDecodeError as error:
        return text.startswith("{") and error.msg.startswith("Unterminated string")
    return False
