"""Reading ids, and finding the tool of a call whose id names none."""

from typing import Any

import pytest

from k2compat.toolcalls.ids import CallId, IssuedIds, find_tool, read_id
from k2compat.toolcalls.json_members import members
from k2compat.toolcalls.tools import DeclaredTools, prepare_tools
from tests.toolcalls.transcripts import declare

TOOLS = DeclaredTools(
    declare(
        [
            {"name": "get", "properties": ["a", "b"], "required": ["a"]},
            {"name": "get1", "properties": ["a", "c"], "required": ["c"]},
            {"name": "_x_", "properties": ["n"]},
            {"name": "x", "properties": ["n", "m"], "required": ["m"]},
            {"name": "天气"},
            {"name": "8"},
        ]
    )
)
NAMED = CallId(None, None, foreign=True)
COUNTER = CallId(None, "1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("functions.get:0", CallId("get", "0", canonical=True)),
        ("functions.get:007", CallId("get", "007", canonical=True)),
        ("functions.a:1:2", CallId("a:1", "2", canonical=True)),
        ("functions.functions.a:1", CallId("functions.a", "1", canonical=True)),
        ("functions.天气:1", CallId("天气", "1", canonical=True)),
        ("functions.\u00a0:1", CallId("\u00a0", "1", canonical=True)),
        ("functions.a<b:1", CallId("a<b", "1", canonical=True)),
        ("functions.a<|b:1", None),
        ("functions.a b:1", None),
        ("functions.a\x07:1", None),
        ("functions.a\x85:1", None),
        ("functions.a:١", None),
        ("functions.:1", None),
        ("functions.9:4", CallId(None, "4")),
        ("functions.8:4", CallId("8", "4", canonical=True)),
        ("functions.٣:4", CallId("٣", "4", canonical=True)),
        ("9:4", CallId(None, "4")),
        ("a.b-c_d:4", CallId("a.b-c_d", "4")),
        ("天气:4", None),
        ("天气", None),
        ("functions_get_3", CallId("get", "3")),
        ("functions_get_", None),
        ("functions_get", None),
        ("functions.get3", CallId("get", "3")),
        ("functions.get13", CallId("get1", "3")),
        ("functions.get1", CallId("get1", None)),
        ("functionsget1", CallId("get", "1")),
        ("functionsget", None),
        ("functions.get", CallId("get", None)),
        ("functions.getx", None),
        ("functions_x_1", CallId("_x_", "1")),
        ("get", CallId("get", None)),
        ("get2", None),
        ("8", CallId("8", None)),
        ("12", CallId(None, "12")),
        ("call12", CallId(None, None)),
        ("call_12aF", NAMED),
        ("call_xyz", NAMED),
        ("call_x-y", None),
        ("toolu_01AbC", NAMED),
        ("tooluse_a-b_c", NAMED),
        ("chatcmpl-tool-0f3e", NAMED),
        ("3f2b8c1e9a704a578a0c2d5e7b1c9f00", NAMED),
        ("3f2b8c1e-9a70-4a57-8a0c-2d5e7b1c9f00", NAMED),
        ("3f2b8c1e-9a704a578a0c-2d5e7b1c9f00", None),
        ("call_", None),
        ("call", None),
        ("", None),
        ("functions", None),
        ("３", None),
    ],
)
def test_read_id(text: str, expected: CallId | None) -> None:
    assert read_id(text, TOOLS) == expected


@pytest.mark.parametrize(
    ("says", "arguments", "expected"),
    [
        (COUNTER, '{"a": 1}', ("get", '{"a": 1}')),
        (COUNTER, '{"a": 1, "c": 2}', ("get1", '{"a": 1, "c": 2}')),
        (COUNTER, '{"m": 1}', ("x", '{"m": 1}')),
        (COUNTER, '{"z": 1}', None),
        (COUNTER, "{}", None),
        (COUNTER, '{"name": "get", "a": 1}', None),
        (NAMED, '{"name": "get", "a": 1}', ("get", '{"a": 1}')),
        (NAMED, '{ "a" : [1, {"name": 2}] , "name" : "get" }', ("get", '{"a" : [1, {"name": 2}]}')),
        (NAMED, '{"name": "x", "a": 1, "name": "get"}', ("get", '{"a": 1}')),
        (NAMED, '{"na\\u006de": "get"}', ("get", "{}")),
        (NAMED, '{"name": "unknown", "a": 1}', None),
        (NAMED, '{"name": 1, "a": 1}', None),
        (NAMED, '{"name": {"name": "get"}}', None),
        (NAMED, '{"a": "}{,:\\"", "b": [[], {}]}', ("get", '{"a": "}{,:\\"", "b": [[], {}]}')),
    ],
)
def test_find_tool(says: CallId, arguments: str, expected: tuple[str, str] | None) -> None:
    assert find_tool(says, arguments, TOOLS) == expected


def test_the_only_tool_gets_a_call_whatever_its_arguments() -> None:
    only = DeclaredTools(declare([{"name": "get", "properties": ["a"]}]))
    assert find_tool(NAMED, '{"a', only, whole=False) == ("get", '{"a')
    assert find_tool(NAMED, '{"a', TOOLS, whole=False) is None


def test_ids_are_unique() -> None:
    ids = IssuedIds(2)
    canonical = CallId("f", "0", canonical=True)
    assert ids.issue(canonical, "functions.f:0", "f", 0) == ("functions.f:2", True)
    assert ids.issue(CallId("f", "2"), "f:2", "f", 1) == ("functions.f:3", True)
    assert ids.issue(CallId("f", "9"), "f:9", "f", 2) == ("functions.f:9", False)
    assert ids.issue(CallId("f", None), "f", "f", 7) == ("functions.f:10", False)
    large = CallId("f", "1" * 16, canonical=True)
    assert ids.issue(large, "functions.f:" + "1" * 16, "f", 8)[1] is False


def test_a_new_number_passes_numbers_that_are_not_compared() -> None:
    ids = IssuedIds(0)
    for number in ("9" * 15, "1" + "0" * 15):
        ids.issue(CallId("f", number, canonical=True), f"functions.f:{number}", "f", 0)
    repeated = ids.issue(CallId("f", "9" * 15, canonical=True), "functions.f:" + "9" * 15, "f", 2)
    assert repeated == (f"functions.f:{10**15 + 1}", True)


def test_members_are_passed_on_as_written() -> None:
    text = '{ "a" : 1.50 ,\n"b":{"c":[1,2]}, "a":"\ud800"}'
    assert [tuple(member) for member in members(text)] == [
        ("a", "1.50", '"a" : 1.50'),
        ("b", '{"c":[1,2]}', '"b":{"c":[1,2]}'),
        ("a", '"\ud800"', '"a":"\ud800"'),
    ]
    assert list(members("{ }")) == []


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ({"name": "f"}, "not a dict"),
        ("f", "not a str"),
        (3, "not a int"),
        ([{}, "f"], r"tools\[1\] is a str"),
    ],
)
def test_tools_of_a_wrong_shape_are_one_error(tools: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_tools(tools)


def test_a_prepared_set_is_shared() -> None:
    tools = prepare_tools(declare([{"name": "f"}]))
    assert prepare_tools(tools) is tools
    assert prepare_tools(None) is prepare_tools(None)


def test_declarations_of_any_shape_are_read() -> None:
    tools = DeclaredTools(
        [
            {"type": "custom", "custom": {"name": "c"}},
            {"type": "function", "function": None},
            {"type": "function", "function": {"name": 3}},
            {"type": "function", "function": {"name": "a"}},
            {"type": "function", "function": {"name": "b", "parameters": {"required": 3}}},
        ]
    )
    assert set(tools.parameters) == {"a", "b"}
    assert tools.known
    assert not DeclaredTools(None).known
