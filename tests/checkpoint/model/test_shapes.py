"""The one expression language for shapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.checkpoint.model.shapes import evaluate, parse_sum, shape_of, text_of

NAMES = st.sampled_from(["H", "nh", "d0", "7"])
SIZES = {"H": 5, "nh": 3, "d0": 11}


@given(st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=3))
def test_sums_of_products_are_those_of_arithmetic(products: list[list[str]]) -> None:
    text = " + ".join("*".join(product) for product in products)
    assert evaluate(parse_sum(text), SIZES) == eval(text, {}, SIZES)
    assert parse_sum(text_of(parse_sum(text))) == parse_sum(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("d0/H", 3), ("d0 / H", 3), ("d0/nh/2", 2), ("nh*H + 1", 16), ("128", 128), ("", 0)],
)
def test_a_division_rounds_up(text: str, value: int) -> None:
    assert evaluate(parse_sum(text), SIZES) == value


def test_an_expression_as_text() -> None:
    assert text_of(parse_sum("nh*H+d0/2")) == "nh * H + d0 / 2"


def test_an_unknown_size_has_no_value() -> None:
    assert evaluate(parse_sum("H*rows + 1"), SIZES) is None
    with pytest.raises(KeyError, match="rows"):
        shape_of(["H", "rows"], SIZES)


@pytest.mark.parametrize("text", ["H H", "H*", "+H", "H-1", "(H)", "H**2", "H+"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no sum of products"):
        parse_sum(text)
