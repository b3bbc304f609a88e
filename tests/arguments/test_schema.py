"""Arguments against their tool's schema: what does not fit, and what can be corrected."""

import json
import subprocess
import sys
from typing import Any

import pytest

from k2compat.arguments import ArgumentProblem, Change, Coerced, check, checking, coerce
from k2compat.errors import RefusedError


def tool(parameters: object, name: str = "f") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def tool_with(schema: object) -> dict[str, Any]:
    """A tool with one argument, `x`."""
    return tool({"type": "object", "properties": {"x": schema}})


def nested(depth: int) -> str:
    return '{"x": ' + "[" * depth + "]" * depth + "}"


INTEGER = {"type": "integer"}
OPTIONAL_INTEGER = {"anyOf": [INTEGER, {"type": "null"}]}


class TestCheck:
    @pytest.mark.parametrize("schema", [INTEGER, {"type": "number"}, OPTIONAL_INTEGER, {}])
    def test_all_is_well(self, schema: object) -> None:
        assert check('{"x": 3}', tool_with(schema)) == ()

    def test_the_place_is_a_json_pointer(self) -> None:
        days = {"type": "object", "properties": {"a/b~c": {"type": "array", "items": INTEGER}}}
        assert check('{"x": {"a/b~c": [1, "2"]}}', tool_with(days)) == (
            ArgumentProblem("/x/a~1b~0c/1", '"2" is not of type "integer"'),
        )

    def test_several(self) -> None:
        parameters = {"properties": {"x": INTEGER, "y": {"enum": ["a"]}}, "required": ["z"]}
        problems = check('{"x": "a", "y": "b"}', tool(parameters))
        assert sorted(problem.path for problem in problems) == ["", "/x", "/y"]

    def test_the_choice_whose_type_fits_tells_what_is_wrong(self) -> None:
        schema = {"anyOf": [{"type": "array", "items": INTEGER}, {"type": "null"}]}
        assert check('{"x": ["a"]}', tool_with(schema)) == (
            ArgumentProblem("/x/0", '"a" is not of type "integer"'),
        )

    def test_no_choice_fits_better(self) -> None:
        schema = {"oneOf": [{"minLength": 3}, {"pattern": "^x"}]}
        (problem,) = check('{"x": "a"}', tool_with(schema))
        assert problem.path == "/x"
        assert "oneOf" in problem.message

    def test_two_choices_fit(self) -> None:
        schema = {"oneOf": [{"maxLength": 3}, {"type": "string"}]}
        (problem,) = check('{"x": "a"}', tool_with(schema))
        assert "oneOf" in problem.message

    @pytest.mark.parametrize("declared", [{}, {"parameters": None}, {"parameters": {}}])
    def test_a_tool_without_parameters_takes_every_object(self, declared: dict[str, Any]) -> None:
        assert check('{"x": 3}', {"function": {"name": "f", **declared}}) == ()

    def test_a_message_does_not_quote_megabytes(self) -> None:
        (problem,) = check(json.dumps({"x": "a" * 1_000_000}), tool_with(INTEGER))
        assert len(problem.message) < 400
        assert problem.message.endswith('is not of type "integer"')

    @pytest.mark.parametrize(
        ("wrong", "more"),
        [(100, None), (101, "1 more problem"), (20_000, "19,900 more problems")],
    )
    def test_after_100_problems_their_number(self, wrong: int, more: str | None) -> None:
        arguments = json.dumps({"x": ["a"] * wrong})
        declared = tool_with({"type": "array", "items": INTEGER})
        problems = check(arguments, declared)
        assert [problem.path for problem in problems[:100]] == [f"/x/{at}" for at in range(100)]
        last = [] if more is None else [ArgumentProblem("", f"The arguments have {more}")]
        assert list(problems[100:]) == last
        assert coerce(arguments, declared).problems == problems


class TestWhatTheModelWroteNeverRaises:
    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ("", "not JSON"),
            ('{"x": ', "not JSON"),
            ("{'x': 3}", "not JSON"),
            ('{"x": NaN}', "not JSON"),
            ('{"x": 1e999}', "too large"),
            ('{"x": ' + "9" * 5000 + "}", "not JSON"),
            ("[1]", "not a JSON object"),
            ("null", "not a JSON object"),
            ('{"x": "\\ud800"}', "cannot be checked"),
            (nested(300), "cannot be checked"),
            (nested(100_000), "nested too deeply"),
        ],
    )
    def test_it_is_a_problem_of_the_whole(self, arguments: str, reason: str) -> None:
        (problem,) = check(arguments, tool_with(INTEGER))
        assert problem.path == ""
        assert reason in problem.message
        assert coerce(arguments, tool_with(INTEGER)) == Coerced(arguments, (), (problem,))

    def test_a_pattern_that_never_ends(self) -> None:
        schema = {"type": "string", "pattern": r"^(?:(a+)+)\1(?=c)$"}
        assert check(json.dumps({"x": "a" * 60 + "b"}), tool_with(schema))


class TestBrokenSchemas:
    @pytest.mark.parametrize(
        "parameters",
        [
            {"type": "objekt"},
            {"pattern": "("},
            {"$ref": "#/$defs/missing"},
            {"$ref": "http://127.0.0.1:9/schema"},
            {"$ref": "file:///etc/hostname"},
            {"$schema": "http://127.0.0.1:9/draft"},
            [],
            "string",
            {"x": object()},
            {"x": "\ud800"},
        ],
    )
    @pytest.mark.parametrize("function", [check, coerce])
    def test_one_error(self, function: Any, parameters: object) -> None:
        with pytest.raises(RefusedError, match="'weather'") as caught:
            function("{}", tool(parameters, name="weather"))
        assert caught.value.code == "tool-schema-invalid"
        assert caught.value.hint

    def test_a_schema_without_end(self) -> None:
        parameters: dict[str, Any] = {}
        for _ in range(100_000):
            parameters = {"not": parameters}
        with pytest.raises(RefusedError):
            check("{}", tool(parameters))

    @pytest.mark.parametrize("broken", [{}, {"function": None}])
    def test_no_tool_at_all(self, broken: dict[str, Any]) -> None:
        with pytest.raises(RefusedError, match="no function"):
            check("{}", broken)

    def test_nothing_is_fetched(self) -> None:
        with pytest.raises(RefusedError, match="nothing is fetched"):
            check("{}", tool({"$ref": "https://example.com/schema.json"}))


class TestVeryManyFaults:
    """Above a bound the validator's errors are not listed one by one with all that it knows."""

    @pytest.mark.parametrize("name", ["items", "a~b/c"])
    def test_places_and_messages_are_the_same(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        declared = tool({"type": "object", "properties": {name: {"items": {"type": "integer"}}}})
        arguments = json.dumps({name: ["x"] * 150})
        explained = check(arguments, declared)
        monkeypatch.setattr(checking, "FAULTS_EXPLAINED_MAX", 149)
        assert check(arguments, declared) == explained
        assert len(explained) == 101

    def test_each_is_not_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Refusing:
            """A validator whose slow way is closed."""

            def __init__(self, real: Any) -> None:
                self.is_valid, self.evaluate = real.is_valid, real.evaluate

            def iter_errors(self, value: object) -> None:
                raise AssertionError(type(value))

        declared = tool({"type": "object", "properties": {"a": {"items": {"type": "integer"}}}})
        validator = Refusing(checking.validator_of(declared))
        monkeypatch.setattr(checking, "validator_of", lambda _tool: validator)
        problems = check(json.dumps({"a": ["x"] * 20_000}), declared)
        assert problems[-1].message == "The arguments have 19,900 more problems"
        assert problems[0].path == "/a/0"


class TestCoerce:
    @pytest.mark.parametrize(
        ("schema", "before", "after"),
        [
            (INTEGER, '"3"', "3"),
            (INTEGER, '"-3"', "-3"),
            ({"type": "number"}, '"3"', "3"),
            ({"type": "number"}, '"-1.50e3"', "-1.50e3"),
            ({"type": "boolean"}, '"true"', "true"),
            ({"type": ["boolean", "integer"]}, '"false"', "false"),
            (OPTIONAL_INTEGER, '"3"', "3"),
            (OPTIONAL_INTEGER, '"null"', "null"),
            ({"oneOf": [INTEGER, {"type": "boolean"}]}, '"3"', "3"),
            ({"type": "object"}, r'"{\"a\": [1]}"', '{"a": [1]}'),
            ({"type": "array"}, r'" [1]\n"', " [1]\n"),
            ({"type": "string"}, "10115", '"10115"'),
            ({"type": "string"}, "1.50", '"1.50"'),
            ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "-0", '"-0"'),
            ({"allOf": [{"type": "number"}, INTEGER]}, '"3"', "3"),
            ({"type": "integer", "enum": [1, 2]}, '"2"', "2"),
        ],
    )
    def test_values_of_the_wrong_type(self, schema: object, before: str, after: str) -> None:
        assert coerce(f'{{"x": {before} }}', tool_with(schema)) == Coerced(
            f'{{"x": {after} }}', (Change("/x", before, after),), ()
        )

    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            (INTEGER, '"three"'),
            (INTEGER, '"3.0"'),
            (INTEGER, '"3 "'),
            (INTEGER, '"03"'),
            (INTEGER, '"1,000"'),
            (INTEGER, '""'),
            (INTEGER, "3.5"),
            (INTEGER, "true"),
            (INTEGER, '"' + "9" * 5000 + '"'),
            ({"type": "number"}, '"1e999"'),
            ({"type": "number"}, '"NaN"'),
            ({"type": "boolean"}, '"True"'),
            ({"type": "boolean"}, '"yes"'),
            ({"type": "boolean"}, "1"),
            ({"type": "string"}, "true"),
            ({"type": "string"}, "null"),
            ({"type": "string"}, '{"a": 1}'),
            ({"type": "array"}, '"a, b"'),
            ({"type": "array"}, r'"{\"a\": 1}"'),
            ({"type": "array"}, '"' + "[" * 100_000 + '"'),
            ({"type": "object"}, r'"\"{}\""'),
            ({"allOf": [INTEGER, {"type": "string"}]}, '"3"'),
            ({"enum": [3]}, '"3"'),
            ({"anyOf": [{"type": "string", "maxLength": 0}, INTEGER]}, '"3"'),
        ],
    )
    def test_nothing_is_guessed(self, schema: object, value: str) -> None:
        arguments = f'{{"x": {value}}}'
        problems = check(arguments, tool_with(schema))
        assert problems
        assert coerce(arguments, tool_with(schema)) == Coerced(arguments, (), problems)

    def test_values_that_fit_stay(self) -> None:
        arguments = '{ "x": "3" }'
        assert coerce(arguments, tool_with({"type": "string"})) == Coerced(arguments, (), ())

    def test_no_other_text_changes(self) -> None:
        parameters = {"properties": {"n": INTEGER, "list": {"items": {"type": "boolean"}}}}
        arguments = (
            '\n{"f": 1.50, "n":"3" ,"e": {}, "list": [ "true",false, "false"], "s": "\\u5929"}'
        )
        coerced = coerce(arguments, tool(parameters))
        assert coerced.arguments == (
            '\n{"f": 1.50, "n":3 ,"e": {}, "list": [ true,false, false], "s": "\\u5929"}'
        )
        assert [change.path for change in coerced.changes] == ["/n", "/list/0", "/list/2"]

    def test_values_inside_a_string_that_held_json(self) -> None:
        schema = {"type": "object", "properties": {"n": INTEGER}}
        coerced = coerce(r'{"x": "{\"n\": \"3\"}"}', tool_with(schema))
        assert coerced.arguments == '{"x": {"n": 3}}'
        assert [change.path for change in coerced.changes] == ["/x", "/x/n"]
        assert coerced.problems == ()

    def test_arguments_that_are_a_string_holding_json(self) -> None:
        coerced = coerce(r'"{\"x\": \"3\"}"', tool_with(INTEGER))
        assert coerced.arguments == '{"x": 3}'
        assert [change.path for change in coerced.changes] == ["", "/x"]

    def test_what_still_does_not_fit_is_told(self) -> None:
        coerced = coerce('{"x": "30"}', tool_with({"type": "integer", "maximum": 9}))
        assert coerced.arguments == '{"x": 30}'
        assert [problem.path for problem in coerced.problems] == ["/x"]

    def test_a_key_that_is_there_twice_has_its_last_value(self) -> None:
        coerced = coerce('{"x": "1", "x": "2"}', tool_with(INTEGER))
        assert coerced.arguments == '{"x": "1", "x": 2}'
        assert coerced.changes == (Change("/x", '"2"', "2"),)

    def test_a_key_of_digits_is_no_position(self) -> None:
        parameters = {"properties": {"0": INTEGER}}
        assert coerce('{"0": "3"}', tool(parameters)).arguments == '{"0": 3}'

    def test_through_a_reference(self) -> None:
        parameters = {"properties": {"x": {"$ref": "#/$defs/n"}}, "$defs": {"n": INTEGER}}
        assert coerce('{"x": "3"}', tool(parameters)).arguments == '{"x": 3}'


def test_the_validator_is_loaded_when_it_is_used() -> None:
    code = "import sys, k2compat.arguments; sys.exit('jsonschema_rs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
