"""Mutants change what can be noticed, in one place each."""

import pytest

from scripts.mutants import mutants

MEMBERS = {"State": ["OUTSIDE", "BETWEEN", "HEADER"]}


def changes(source: str) -> list[tuple[str, str]]:
    return [(mutant.before, mutant.after) for mutant in mutants(source, MEMBERS)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Step(State.HEADER)", [("Step(State.HEADER)", "pass"), ("State.HEADER", "State.OUTSIDE")]),
        ("x = a, b", [("a", "nothing"), ("b", "nothing")]),
        ("x = {a: b, **c}", [("a", "nothing"), ("c", "nothing")]),
        ("x = a + 1", [("a + 1", "a - 1"), ("1", "2")]),
        ("x = not a", [("not a", "a")]),
        ("x = a and b", [("a and b", "a or b")]),
        ("x = a is b", [("a is b", "a is not b")]),
        ("if a: pass", [("if a:", "if not a:")]),
        ("self.a = b", [("self.a = b", "pass")]),
        ("a += b", [("a += b", "pass")]),
        ("def f():\n    return a", [("return a", "return None")]),
        ("def f():\n    return True", [("True", "False")]),
    ],
)
def test_what_is_changed(source: str, expected: list[tuple[str, str]]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""Docs."""',
        'def f(a: "int | None") -> "str":\n    """Docs."""',
        'x: Final["int"]',
        'x = cast("int", a)',
        "class A:\n    __slots__ = ('a', 'b')",
        'raise ValueError("a message")',
        'raise ValueError(f"a message about {a}")',
    ],
)
def test_what_makes_no_difference_is_not_changed(source: str) -> None:
    assert not changes(source)


def test_a_mutant_is_the_source_with_one_change() -> None:
    assert [mutant.source for mutant in mutants("x = 1\ny = 'a'", MEMBERS)] == [
        "x = 2\ny = 'a'",
        "x = 1\ny = 'a~'",
    ]


def test_a_string_outside_of_the_raise_is_changed() -> None:
    assert changes("if a:\n    raise E('b')\nx = 'c'")[1:] == [("'c'", "'c~'")]
