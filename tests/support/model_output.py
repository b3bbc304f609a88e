"""Texts a model may write, for properties: well formed, broken, and noise."""

from hypothesis import strategies as st

PIECES = (
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "functions.weather:0",
    "functions.天气:1",
    "weather",
    '{"city": "Paris"}',
    '{"open": "',
    "[1]",
    " ",
    "\n",
    "Let me look. ",
    "<|tool|>",
)
CALL = (
    "<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>"
    '{"city": "Paris"}<|tool_call_end|>'
)


def model_outputs() -> st.SearchStrategy[str]:
    """Markers, look-alikes, JSON and noise in any order."""
    pieces = st.one_of(st.sampled_from(PIECES), st.just(CALL), st.text(max_size=5))
    return st.lists(pieces, max_size=12).map("".join)


def json_objects() -> st.SearchStrategy[dict[str, object]]:
    """JSON objects whose strings hold markers too."""
    strings = st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.lists(st.sampled_from(PIECES), max_size=4).map("".join),
    )
    scalars = st.one_of(st.sampled_from([None, True, 0, -1.5, 10**20]), strings)
    values = st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(strings, inner, max_size=3)
        ),
        max_leaves=3,
    )
    return st.dictionaries(strings, values, max_size=3)


def tool_names() -> st.SearchStrategy[str]:
    """Names that an id can hold."""
    return st.one_of(
        st.sampled_from(["weather", "a.b", "a:b", "a-b_c", "天气", "7", "a:1", "functions.x"]),
        st.text("aZ0_.:-", min_size=1, max_size=6),
    )
