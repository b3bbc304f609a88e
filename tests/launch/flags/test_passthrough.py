"""--set flag=value: what is passed on, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.errors import RefusedError
from k2compat.findings import Severity
from k2compat.launch.flags import check_arguments, flag_table, newest_version, passed_through
from tests.support.amount import examples

NEWEST = newest_version("vllm")

VLLM = ("vllm", NEWEST, "serve")
SGLANG = ("sglang", "0.5.23", "sglang.launch_server")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (["max-num-seqs=128"], [("--max-num-seqs", "128")]),
        (["--max_num_seqs=128"], [("--max-num-seqs", "128")]),
        (["n=2"], [("--nnodes", "2")]),
        (["port=$PORT"], [("--port", "$PORT")]),
        (["seed=-1"], [("--seed=-1",)]),
        (["trust-remote-code"], [("--trust-remote-code",)]),
        (["trust-remote-code=true"], [("--trust-remote-code",)]),
        (["trust-remote-code=No"], [("--no-trust-remote-code",)]),
        (["no-trust-remote-code"], [("--no-trust-remote-code",)]),
        (["no-trust-remote-code=false"], [("--trust-remote-code",)]),
        (["enable-prefix-caching=false"], [("--disable-prefix-caching",)]),
        (["no-enable-prefix-caching"], [("--disable-prefix-caching",)]),
        (["middleware=a", "middleware=b"], [("--middleware", "a"), ("--middleware", "b")]),
        (["served-model-name=a", "served-model-name=b"], [("--served-model-name", "a", "b")]),
        (["eplb-config.window_size=10"], [("--eplb-config.window_size", "10")]),
        (["num-redundant-experts=32"], [("--eplb-config.num_redundant_experts", "32")]),
        (['additional-config={"a": 1}'], [("--additional-config", '{"a": 1}')]),
    ],
)
def test_passed_on(setting: list[str], expected: list[tuple[str, ...]]) -> None:
    assert list(passed_through(*VLLM, setting)) == expected


def test_several_new_flags_for_one_old() -> None:
    assert passed_through(*SGLANG, ["enable-deepep-moe", "cuda-graph-bs=8"]) == (
        ("--moe-a2a-backend", "deepep"),
        ("--cuda-graph-bs-decode", "8"),
    )


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        (["max-num-sequences=1"], "--max-num-seqs"),
        (["max-num-se=1"], "--max-num-seqs"),
        (["data-parallel-s=1"], "--data-parallel-s"),
        (["xyzzy=1"], "--help"),
        (["=1"], "flag=value"),
        (["--=1"], "flag=value"),
        (["swap-space=4"], "does nothing"),
        (["rope-theta=4"], "No successor"),
        (["port=a"], "a whole number"),
        (["port"], "VALUE"),
        (["port=1", "port=2"], "once"),
        (["headless", "headless"], "once"),
        (["headless=false"], "Leave it out"),
        (["headless=maybe"], "--set headless"),
        (["uvicorn-log-level=loud"], "debug"),
        (["served-model-name=-a", "served-model-name=b"], "for a flag"),
    ],
)
def test_refused(setting: list[str], hint: str) -> None:
    with pytest.raises(RefusedError) as refused:
        passed_through(*VLLM, setting)
    assert refused.value.code == "setting-refused"
    assert hint in refused.value.hint


NAMES = [name.lstrip("-") for flag in flag_table(*VLLM).flags for name in flag.names]


@settings(max_examples=examples(200))
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.none() | st.text(max_size=8)).map(
            lambda pair: pair[0] if pair[1] is None else f"{pair[0]}={pair[1]}"
        ),
        max_size=3,
    )
)
def test_what_is_passed_on_is_taken_by_the_parser(given_settings: list[str]) -> None:
    try:
        passed = passed_through(*VLLM, given_settings)
    except RefusedError:
        return
    arguments = [argument for flag in passed for argument in flag]
    assert all(isinstance(argument, str) for argument in arguments)
    found = check_arguments(*VLLM, ["model", *arguments])
    assert [finding for finding in found if finding.severity is Severity.ERROR] == []


def test_what_the_rest_of_the_command_decides_is_not_judged_here() -> None:
    rendered = passed_through("vllm", NEWEST, "serve", ["tensor-parallel-size=16"])
    assert rendered == (("--tensor-parallel-size", "16"),)
