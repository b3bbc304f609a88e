"""A port of `--set` is the plan's: waits, health checks and load balancers follow it."""

from typing import Any

import pytest

from k2compat.launch.flags import values_of
from k2compat.launch.plan import Plan
from k2compat.launch.render.text import as_text
from tests.launch.support import argv, plan

TWO = ("10.0.0.1", "10.0.0.2")


def ports(made: Plan) -> dict[str, str]:
    """Of the first node: what for → number."""
    return {each.name: str(each.number) for each in made.commands[0].ports}


@pytest.mark.parametrize(
    ("engine", "options", "setting", "name"),
    [
        ("vllm", {}, "port", "http"),
        ("vllm", {"nodes": TWO}, "--master-port", "rendezvous"),
        ("vllm", {"nodes": TWO, "strategy": "dp-ep"}, "data_parallel_rpc_port", "rpc"),
        ("sglang", {}, "port", "http"),
        ("sglang", {"prefill": TWO, "decode": ("c",)}, "port", "http"),
        (
            "sglang",
            {"prefill": TWO, "decode": ("c",)},
            "disaggregation-bootstrap-port",
            "bootstrap",
        ),
        ("vllm", {"profile": "guide", "strategy": "tp"}, "port", "http"),
    ],
)
def test_it_is_the_port_that_the_plan_names(
    engine: str, options: dict[str, Any], setting: str, name: str
) -> None:
    made = plan(engine, settings=(f"{setting}=28471",), **options)
    assert ports(made)[name] == "28471"


def test_the_router_finds_the_servers() -> None:
    made = plan("sglang", prefill=("a",), decode=("b",), settings=("port=28471",))
    (router,) = (each for each in made.commands if each.role == "load-balancer")
    words = argv(router)
    assert values_of(words, "--prefill") == ["http://a:28471"]
    assert values_of(words, "--decode") == ["http://b:28471"]
    assert values_of(words, "--port") == ["8000"]


def test_the_last_line_names_it() -> None:
    assert "http://127.0.0.1:9000/v1" in as_text(plan("vllm", settings=("port=9000",)))
    assert '"${PORT}"/v1' in as_text(plan("vllm", settings=("port=$PORT",)))


def test_another_setting_is_no_port() -> None:
    made = plan("vllm", settings=("served-model-name=x", "enforce-eager"))
    assert ports(made) == {"http": "8000"}
