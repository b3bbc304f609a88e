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


def refuse(constant: str) -> None:
    """`NaN` and the like are no JSON."""
    raise ValueError(constant)


def as_json_decides(text: str) -> bool:
    """Whether the text is one JSON object, by the standard library."""
    try:
        return isinstance(json.loads(text, parse_constant=refuse), dict)
    except ValueError:
        return False


def string_is_open(text: str) -> bool:
    """Whether a letter could go on inside a string of a JSON object, the slow way."""
    try:
        json.loads(text + "x", parse_constant=refuse)
    except json.JSONDecodeError as error:
        return text.startswith("{") and error.msg.startswith("Unterminated string")
    except ValueError:
        return False
    return False


# What may be missing of a token that the end of the text cuts in two, and then of a member.
REST_OF_TOKEN = ["", '"', "0", "rue", "ue", "e", "alse", "lse", "se", "ull", "ll", "l"]
REST_OF_TOKEN += ['n"', '0000"', '000"', '00"', '0"']
REST_OF_MEMBER = ["", ":0", "0", '"a":0']


def could_become_an_object(text: str) -> bool:
    """Whether text that follows could make it one JSON object: tries what could."""
    if not text or as_json_decides(text):
        return True
    return any(
        as_json_decides(text + token + member + closing_of(text))
        for token in REST_OF_TOKEN
        for member in REST_OF_MEMBER
    )


def closing_of(text: str) -> str:
    """The brackets that close what is open, the slow way."""
    closing = ""
    for at, character in enumerate(text):
        if character in "{[" and not string_is_open(text[:at]):
            closing = {"{": "}", "[": "]"}[character] + closing
        elif character in "}]" and not string_is_open(text[:at]):
            closing = closing[1:]
    return closing
