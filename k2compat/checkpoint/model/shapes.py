"""The one expression language for shapes, of safetensors and of GGUFs.

    sum     = product *( "+" product )
    product = factor *( "*" factor | "/" factor )      "/" rounds up
    factor  = a name of a size, or a number

Both tables write shapes in it: `model/tensor_rules.toml` and `gguf_files/deepseek2.toml`.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, NamedTuple

_EXPRESSION: Final = re.compile(r"(?:\s*\w+\s*(?:[*/+](?!\s*$)|$))*")
_FACTOR: Final = re.compile(r"([*/]?)\s*(\w+)")


class Factor(NamedTuple):
    """A factor of a product.

    Attributes:
        name: A size, or digits.
        divides: Whether the product is divided by it.
    """

    name: str
    divides: bool = False


Sum = tuple[tuple[Factor, ...], ...]
"""A parsed expression: products, each of factors."""


@cache
def parse_sum(text: str) -> Sum:
    """An expression of the language; of an empty text the empty sum.

    Raises:
        ValueError: The text is no expression.
    """
    if _EXPRESSION.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no sum of products of sizes")
    return tuple(
        tuple(Factor(name, sign == "/") for sign, name in _FACTOR.findall(product))
        for product in text.split("+")
        if product.strip()
    )


def text_of(expression: Sum) -> str:
    """An expression as text, the inverse of `parse_sum`."""
    return " + ".join(
        "".join(
            factor.name if number == 0 else f" {'/' if factor.divides else '*'} {factor.name}"
            for number, factor in enumerate(product)
        )
        for product in expression
    )


def evaluate(expression: Sum, sizes: Mapping[str, int]) -> int | None:
    """The value of an expression; None where one of its sizes is not known."""
    total = 0
    for product in expression:
        value = 1
        for name, divides in product:
            size = int(name) if name.isdigit() else sizes.get(name)
            if size is None:
                return None
            value = -(-value // size) if divides else value * size
        total += value
    return total


def shape_of(expressions: Iterable[str], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape that expressions such as "nh*N + nh*R" or "d0/b0" give.

    Raises:
        KeyError: A size is not known.
    """
    shape = []
    for text in expressions:
        size = evaluate(parse_sum(text), sizes)
        if size is None:
            raise KeyError(text)
        shape.append(size)
    return tuple(shape)
