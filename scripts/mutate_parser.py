"""Changes the parser's source in one place at a time and counts which changes the tests notice.

    python scripts/mutate_parser.py [--every N] [--module NAME]

A change the tests do not notice survives: either a test is missing, or the
change makes no difference. Survivors are printed with their line. Each mutant
is a copy of the package in a temporary folder, tested in a forked process.
The transcripts and the unit tests come first, without the docs' diagram;
what they do not notice is shown to the properties, which are slower.
"""

import argparse
import ast
import copy
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "k2compat" / "toolcalls"
MODULES = (
    "argument_text",
    "forced/arguments",
    "forced/array",
    "forced/turn",
    "ids",
    "iterate",
    "json_members",
    "json_prefix",
    "machine",
    "markers",
    "parser",
    "record",
    "tools",
    "turn/actions",
    "turn/calls",
    "turn/content",
    "turn/header",
    "turn/plans",
    "turn/prose",
    "turn/section",
    "turn/state",
    "turn/stripped",
    "turn/turn",
    "turn/units",
)
# The quickest to notice a change first.
TESTS = [
    f"tests/toolcalls/test_{name}.py"
    for name in (
        "transcripts",
        "parser",
        "argument_text",
        "ids",
        "markers",
        "machine",
        "iterate",
        "json_prefix",
    )
]
PROPERTIES = [f"tests/properties/test_toolcalls_{name}.py" for name in ("reading", "laws")]
# Of processor time, so that a busy machine does not make a mutant look noticed.
SECONDS_AT_MOST = 60


def state_names() -> list[str]:
    """The states' names, read from the source.

    This process must not import the package: the forked tests would find it imported, and
    test it in place of the mutant.
    """
    tree = ast.parse((PACKAGE / "machine.py").read_text("utf-8"))
    (states,) = (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "State"
    )
    return [node.targets[0].id for node in states.body if isinstance(node, ast.Assign)]  # type: ignore[attr-defined]


STATES = state_names()
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


def changed(node: ast.AST) -> ast.AST | None:
    """Another node in place of this one, or None."""
    match node:
        case ast.Constant(value):
            return changed_constant(value)
        case ast.UnaryOp(ast.Not(), operand):
            return operand
        case ast.Attribute(ast.Name("State"), name, ast.Load()):
            # Next states of the table are such attributes.
            another = STATES[(STATES.index(name) + 1) % len(STATES)]
            return ast.Attribute(ast.Name("State", ast.Load()), another, ast.Load())
        case ast.If(test, body, orelse):
            return ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(value) if value is not None:
            return ast.Return(ast.Constant(None))
        case ast.Tuple([*_, _] as elements, ast.Load()):
            return ast.Tuple(elements[:-1], ast.Load())
        case ast.Expr(ast.Call()) | ast.Assign([ast.Attribute()]) | ast.AugAssign():
            return ast.Pass()
    return changed_operator(node)


def changed_constant(value: object) -> ast.AST | None:
    """Another constant."""
    match value:
        case bool():
            return ast.Constant(not value)
        case int():
            return ast.Constant(value + 1)
        case str():
            return ast.Constant(value + "~")
    return None


def changed_operator(node: ast.AST) -> ast.AST | None:
    """The same with another operator."""
    match node:
        case ast.Compare(left, [op], right) if type(op) in SWAPPED:
            return ast.Compare(left, [SWAPPED[type(op)]()], right)  # type: ignore[list-item]
        case ast.BoolOp(op, values):
            return ast.BoolOp(SWAPPED[type(op)](), values)  # type: ignore[arg-type]
        case ast.Dict([*keys, _], [*values, _]):
            return ast.Dict(keys, values)
        case ast.BinOp(left, (ast.Add() | ast.Sub()) as op, right):
            return ast.BinOp(left, SWAPPED[type(op)](), right)  # type: ignore[arg-type]
    return None


def passed_over(parent: ast.AST, node: ast.AST) -> bool:
    """Docstrings, types and slots: a change there cannot be noticed."""
    if isinstance(parent, ast.Expr) and isinstance(node, ast.Constant):
        return True
    if isinstance(parent, ast.AnnAssign) and (
        node is parent.annotation or ast.unparse(parent.annotation) == "TypeAlias"
    ):
        return True
    if isinstance(parent, ast.ClassDef) and isinstance(node, ast.keyword):
        return True
    if isinstance(parent, ast.arg) or (
        isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef) and node is parent.returns
    ):
        return True
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__"


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Every place a node can be changed: its parent, the field, and the place in a list."""
    for field, value in ast.iter_fields(tree):
        for index, node in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(node, ast.AST) and not passed_over(tree, node):
                if changed(node) is not None:
                    yield tree, field, index
                yield from places(node)


def mutants(source: str) -> Iterator[tuple[int, str, str, str]]:
    """The line, what stood there, what stands there now, and the whole changed source."""
    for number in range(len(list(places(ast.parse(source))))):
        tree = ast.parse(source)
        parent, field, index = list(places(tree))[number]
        value = getattr(parent, field)
        node = value if index is None else value[index]
        new = changed(copy.deepcopy(node))
        if index is None:
            setattr(parent, field, new)
        else:
            value[index] = new
        ast.fix_missing_locations(tree)
        before, after = (ast.unparse(n).partition("\n")[0] for n in (node, new or node))
        if before == after and not isinstance(new, ast.If):
            continue
        yield node.lineno, before, after, ast.unparse(tree)


def is_noticed(folder: Path) -> bool:
    """Whether any test fails with the package in that folder."""
    return fails(folder, TESTS) or fails(folder, PROPERTIES)


def is_noticed_without_a_parser(folder: Path) -> bool:
    """Whether the tests fail if the package has no parser: the check of this script itself."""
    path = folder / "k2compat" / "toolcalls" / "parser.py"
    source = path.read_text("utf-8")
    path.write_text("raise ImportError\n", "utf-8")
    noticed = fails(folder, TESTS)
    path.write_text(source, "utf-8")
    return noticed


def fails(folder: Path, tests: list[str]) -> bool:
    """Whether these tests fail with the package in that folder."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_AT_MOST, SECONDS_AT_MOST))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        arguments = ["-x", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={folder} {ROOT}"]
        arguments += ["--deselect", "tests/toolcalls/test_machine.py::test_the_docs_show_the_table"]
        arguments += ["-k", "not written- and not threes and not sevens and not deep and not depth"]
        os.chdir(ROOT)
        result = 1
        try:
            result = int(pytest.main([*arguments, *tests]))
        finally:
            os._exit(result)
    _, status = os.waitpid(child, 0)
    return status != 0


def main() -> int:
    """Make the mutants, test them, print the survivors and the figure."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--every", type=int, default=1, help="test each Nth mutant only")
    options.add_argument("--offset", type=int, default=0, help="the first mutant to test")
    options.add_argument("--module", choices=MODULES, action="append")
    chosen = options.parse_args()
    noticed = tested = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "k2compat", folder / "k2compat")
        if is_noticed(folder):
            print("the tests fail without any change")
            return 2
        if not is_noticed_without_a_parser(folder):
            print("the tests do not read the package in the temporary folder")
            return 2
        for module in chosen.module or MODULES:
            path = folder / "k2compat" / "toolcalls" / f"{module}.py"
            source = (PACKAGE / f"{module}.py").read_text("utf-8")
            for number, (line, before, after, mutant) in enumerate(mutants(source)):
                if number % chosen.every != chosen.offset:
                    continue
                path.write_text(mutant, "utf-8")
                tested += 1
                if is_noticed(folder):
                    noticed += 1
                else:
                    print(f"{module}.py:{line}: survived: {before}  ->  {after}", flush=True)
            path.write_text(source, "utf-8")
            print(f"after {module}: {noticed} of {tested} noticed", flush=True)
    print(f"{noticed} of {tested} noticed: {noticed / tested:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
