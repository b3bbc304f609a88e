"""Makes the mutants of a module: its source, each time changed in one place.

Changed are constants, operators, conditions, results, statements that only have an effect, the
elements of tuples and dicts (each is left out once), and members of `State` and `Symbol`, which
are the next states and the rows of the parser's table.

Some changes make no difference, so they are not made: docstrings, types (annotations and the
first argument of `cast`), slots, and the strings within a `raise` statement. The last are
messages for a person. Text that the parser answers with is never written there.
"""

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple


class Mutant(NamedTuple):
    """One changed source.

    Attributes:
        number: its place among the module's mutants.
        line: the line that is changed.
        before: what is there, shortened to a line.
        after: what is there instead.
        function: the first and the last line of the function or method that is changed, or None.
        source: the whole changed source.
    """

    number: int
    line: int
    before: str
    after: str
    function: tuple[int, int] | None
    source: str


class Place(NamedTuple):
    """A node that can be changed: what holds it, in which field, at which place of a list."""

    holder: ast.AST
    field: str
    position: int | None
    node: ast.AST

    def put(self, node: ast.AST) -> None:
        """Put a node there."""
        if self.position is None:
            setattr(self.holder, self.field, node)
        else:
            getattr(self.holder, self.field)[self.position] = node


class Change(NamedTuple):
    """A node in place of another, and what to print of both."""

    node: ast.AST
    before: str
    after: str


SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}


def mutants(source: str, members: Mapping[str, Sequence[str]]) -> Iterator[Mutant]:
    """Make every mutant of a source.

    Args:
        source: the module's source.
        members: the members of the enumerations whose members are exchanged, by their class.
    """
    tree = ast.parse(source)
    functions = list(function_lines(tree))
    number = 0
    for place in list(places(tree)):
        for change in changes(place.node, members):
            place.put(change.node)
            ast.fix_missing_locations(tree)
            line = place.node.lineno  # type: ignore[attr-defined]
            function = next((f for f in functions if f[0] <= line <= f[1]), None)
            yield Mutant(number, line, change.before, change.after, function, ast.unparse(tree))
            place.put(place.node)
            number += 1


def function_lines(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """The first and the last line of each function that is in no other, decorators included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min(part.lineno for part in (node, *node.decorator_list))
            yield first, node.end_lineno or first
        else:
            yield from function_lines(node)


def places(tree: ast.AST, *, in_raise: bool = False) -> Iterator[Place]:
    """Every node that may be changed, with where it is."""
    in_raise = in_raise or isinstance(tree, ast.Raise)
    for field, value in ast.iter_fields(tree):
        for index, node in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(node, ast.AST) or passed_over(tree, node):
                continue
            if in_raise and isinstance(node, ast.Constant) and isinstance(node.value, str):
                continue
            if hasattr(node, "lineno"):
                yield Place(tree, field, index, node)
            yield from places(node, in_raise=in_raise)


def passed_over(holder: ast.AST, node: ast.AST) -> bool:
    """Whether the node is a docstring, a type or slots."""
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__":
        return True
    match holder:
        case ast.Expr():
            return isinstance(node, ast.Constant)
        case ast.AnnAssign(annotation=annotation):
            return node is annotation or ast.unparse(annotation) == "TypeAlias"
        case ast.ClassDef():
            return isinstance(node, ast.keyword)
        case ast.FunctionDef(returns=returns) | ast.AsyncFunctionDef(returns=returns):
            return node is returns
        case ast.Call(ast.Name("cast"), [first, *_]):
            return node is first
    return isinstance(holder, ast.arg)


def changes(node: ast.AST, members: Mapping[str, Sequence[str]]) -> Iterator[Change]:
    """What may be in place of this node."""
    before = first_line(node)
    for index, element in enumerate(elements(node)):
        yield Change(without(node, index), first_line(element), "nothing")
    for new in others(node, members):
        after = first_line(new)
        if before != after:
            yield Change(new, before, after)


def others(node: ast.AST, members: Mapping[str, Sequence[str]]) -> Iterator[ast.AST]:
    """Other nodes, but for those that have an element less."""
    match node:
        case ast.Constant(value):
            yield from other_constants(value)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.Attribute(ast.Name(name), member, ast.Load()) if name in members:
            names = members[name]
            another = names[(names.index(member) + 1) % len(names)]
            yield ast.Attribute(ast.Name(name, ast.Load()), another, ast.Load())
        case ast.If(test, body, orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call()) | ast.Assign([ast.Attribute()]) | ast.AugAssign():
            yield ast.Pass()
        case ast.Compare(left, [op], right) if type(op) in SWAPPED:
            yield ast.Compare(left, [SWAPPED[type(op)]()], right)  # type: ignore[list-item]
        case ast.BoolOp(op, values):
            yield ast.BoolOp(SWAPPED[type(op)](), values)  # type: ignore[arg-type]
        case ast.BinOp(left, (ast.Add() | ast.Sub()) as op, right):
            yield ast.BinOp(left, SWAPPED[type(op)](), right)  # type: ignore[arg-type]


def other_constants(value: object) -> Iterator[ast.AST]:
    """Another constant of the same type."""
    match value:
        case bool():
            yield ast.Constant(not value)
        case int():
            yield ast.Constant(value + 1)
        case str():
            yield ast.Constant(value + "~")


def elements(node: ast.AST) -> list[ast.AST]:
    """The elements that can be left out one by one."""
    match node:
        case ast.Tuple(members, ast.Load()):
            return list(members)
        case ast.Dict(keys, values):
            return [key or value for key, value in zip(keys, values, strict=True)]
    return []


def without(node: ast.AST, index: int) -> ast.AST:
    """The tuple or dict without one element."""
    node = copy.copy(node)
    for field in ("elts", "keys", "values"):
        if hasattr(node, field):
            values = getattr(node, field)
            setattr(node, field, values[:index] + values[index + 1 :])
    return node


def first_line(node: ast.AST) -> str:
    """The beginning of the node's source."""
    return ast.unparse(node).partition("\n")[0]
