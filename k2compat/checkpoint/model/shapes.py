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


class _Factor(NamedTuple):
    """A factor of a product.

    Attributes:
        name: A size, or digits.
        divides: Whether the product is divided by it.
    """

    name: str
    divides: bool = False


@cache
def _products(text: str) -> tuple[tuple[_Factor, ...], ...]:
    if _EXPRESSION.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no sum of products of sizes")
    return tuple(
        tuple(_Factor(name, sign == "/") for sign, name in _FACTOR.findall(product))
        for product in text.split("+")
        if product.strip()
    )


def evaluate(expression: str, sizes: Mapping[str, int]) -> int | None:
    """The value of an expression; None where one of its sizes is not known.

    Raises:
        ValueError: The text is no expression.
    """
    total = 0
    for product in _products(expression):
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
        size = evaluate(text, sizes)
        if size is None:
            raise KeyError(text)
        shape.append(size)
    return tuple(shape)
