"""The one expression language for shapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.checkpoint.model.shapes import evaluate, shape_of

NAMES = st.sampled_from(["H", "nh", "d0", "7"])
SIZES = {"H": 5, "nh": 3, "d0": 11}


@given(st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=3))
def test_sums_of_products_are_those_of_arithmetic(products: list[list[str]]) -> None:
    text = " + ".join("*".join(product) for product in products)
    assert evaluate(text, SIZES) == eval(text, {}, SIZES)


@pytest.mark.parametrize(
    ("text", "value"),
    [("d0/H", 3), ("d0 / H", 3), ("d0/nh/2", 2), ("nh*H + 1", 16), ("128", 128), ("", 0)],
)
def test_a_division_rounds_up(text: str, value: int) -> None:
    assert evaluate(text, SIZES) == value


def test_an_unknown_size_has_no_value() -> None:
    assert evaluate("H*rows + 1", SIZES) is None
    with pytest.raises(KeyError, match="rows"):
        shape_of(["H", "rows"], SIZES)


@pytest.mark.parametrize("text", ["H H", "H*", "+H", "H-1", "(H)", "H**2", "H+"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no sum of products"):
        evaluate(text, SIZES)
