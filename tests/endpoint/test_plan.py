"""What is asked: the promises about its size, and that every order can be obeyed by a script."""

import json

import pytest

from k2compat.arguments import check
from k2compat.endpoint import Request, plan
from k2compat.endpoint.asking.schemas import schema_cases
from k2compat.endpoint.asking.wanted import LARGE, TOOLS

REQUESTS_AT_MOST = 40
PROMPT_TOKENS_AT_MOST = 60_000
THE_LIST_OF_MODELS = 1


def test_a_plain_run_is_small() -> None:
    requests = plan()
    assert len(requests) + THE_LIST_OF_MODELS <= REQUESTS_AT_MOST
    size = sum(request.estimated_prompt_tokens for request in requests)
    assert size <= PROMPT_TOKENS_AT_MOST / 2


def test_names_are_unique() -> None:
    names = [request.name for request in plan(deep=True, schemas=True)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("request_", plan(deep=True, schemas=True), ids=lambda each: each.name)
def test_every_wanted_call_is_named_in_the_last_message_and_fits_its_tool(
    request_: Request,
) -> None:
    last = request_.body["messages"][-1]
    tools = {
        tool["function"]["name"]: tool
        for tool in request_.body.get("tools") or ()
        if request_.wants
    }
    for call in request_.wants:
        assert last["content"].split("\n").count(str(call)) >= 1
        assert check(call.arguments_text, tools[call.name]) == ()
    if not request_.must_be_refused:
        assert request_.body["temperature"] == 0


def test_large_arguments_are_larger_than_8_kib() -> None:
    assert len(LARGE.arguments_text) > 8192


def test_there_are_60_schemas_and_each_is_another() -> None:
    cases = schema_cases()
    assert len(cases) == 60
    shapes = {json.dumps([case.schema, case.value]) for case in cases.values()}
    assert len(shapes) == 60


def test_the_tools_are_those_of_the_orders() -> None:
    assert [tool["function"]["name"] for tool in TOOLS] == [
        "get_weather", "get_time", "write_file", "create_event",
    ]  # fmt: skip


def test_deep_and_schemas_add_what_the_docs_promise() -> None:
    plain = len(plan())
    assert len(plan(deep=True)) == plain + 30
    assert len(plan(schemas=True)) == plain + 120
