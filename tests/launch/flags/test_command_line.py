"""Command lines are read as argparse and click read them."""

import shlex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from k2compat.findings import Severity
from k2compat.launch.flags import flag_table, newest_version
from k2compat.launch.flags.check import check_reading
from k2compat.launch.flags.command_line import has_placeholder, read_arguments
from tests.support.amount import examples
from tests.support.parsers import accepts, argparse_parser

NEWEST = newest_version("vllm")

# Tables for which no history speaks, so that the parser alone decides.
PEERS = [
    flag_table("sglang", "0.4.9.post2", "sglang.launch_server"),
    flag_table("sglang", "0.5.23", "sglang_router.launch_router"),
    flag_table("ktransformers", "0.3.2", "server.main"),
    flag_table("trtllm", "1.0.0rc2", "serve"),
    flag_table("trtllm", "1.3.0rc29", "disaggregated"),
]
VALUES = st.sampled_from(
    ["8", "-1", "-0.5", "0.9", "x", "a b", "", "-", "-x", "pytorch", "random", "a=b", "fp8"]
)


@st.composite
def lines(draw: st.DrawFn) -> tuple[int, list[str]]:
    number = draw(st.integers(0, len(PEERS) - 1))
    table = PEERS[number]
    arguments: list[str] = []
    for _ in range(draw(st.integers(0, 4))):
        flag = draw(st.sampled_from(table.flags))
        name = draw(st.sampled_from(flag.names))
        name = name[: draw(st.integers(4, max(len(name), 4)))] if draw(st.booleans()) else name
        values = draw(st.lists(VALUES, max_size=2))
        if draw(st.booleans()) and values:
            arguments += [f"{name}={values[0]}", *values[1:]]
        else:
            arguments += [name, *values]
    return number, arguments


@settings(max_examples=examples(200))
@given(lines())
@example((4, ["-r=8"]))  # click's value is "=8"
def test_what_the_real_parser_refuses_is_an_error_and_nothing_else(
    line: tuple[int, list[str]],
) -> None:
    number, arguments = line
    table = PEERS[number]
    if "-h" in arguments or "--help" in arguments:
        return
    if table.parser == "argparse":  # the peer needs what the table requires
        arguments = [*(["--model-path", "m"] if table.find("--model-path") else []), *arguments]
    complaint = accepts(table, arguments)
    found = [
        finding
        for finding in check_reading(read_arguments(table, arguments))
        if finding.severity is Severity.ERROR
    ]
    assert bool(found) == (complaint is not None), (arguments, complaint, found)


@pytest.mark.parametrize(
    ("line", "flag", "values"),
    [
        ("--tp-size 8", "--tp-size", ("8",)),
        ("--tp-size=8", "--tp-size", ("8",)),
        ("--tp 8", "--tp-size", ("8",)),
        ("--cuda-graph-bs 1 2 4 --tp-size 8", "--cuda-graph-bs", ("1", "2", "4")),
        ("--max-total-tokens -1", "--max-total-tokens", ("-1",)),
        ("--trust-remote-code --tp-size 8", "--trust-remote-code", ()),
    ],
)
def test_values_go_to_their_flags(line: str, flag: str, values: tuple[str, ...]) -> None:
    table = PEERS[0]
    use = read_arguments(table, shlex.split(line)).uses[0]
    assert use.flag == table.find(flag)
    assert use.values == values
    argparse_parser(table).parse_args(["--model", "m", *shlex.split(line)])


def test_vllms_short_forms() -> None:
    table = flag_table("vllm", NEWEST, "serve")
    reading = read_arguments(table, ["-tp=8", "-n2", "-O3", "-dp", "2", "-z9"])
    assert [(use.flag and use.flag.name, use.values) for use in reading.uses] == [
        ("--tensor-parallel-size", ("8",)),
        ("--nnodes", ("2",)),
        ("--optimization-level", ("3",)),
        ("--data-parallel-size", ("2",)),
        (None, ()),
    ]
    old = read_arguments(flag_table("vllm", "0.10.0", "serve"), ["-O3"])
    assert old.uses[0].flag == old.table.find("--compilation-config")


def test_unknown_flags_keep_what_follows_them() -> None:
    reading = read_arguments(PEERS[0], ["--nonsense", "1", "2", "--other=3", "--tp-size", "8"])
    assert [(use.name, use.values) for use in reading.uses] == [
        ("--nonsense", ("1", "2")),
        ("--other", ("3",)),
        ("--tp-size", ("8",)),
    ]


def test_flags_that_are_handed_on_have_the_values_of_the_next_program() -> None:
    table = flag_table("ktransformers", "0.7.2", "kt run")
    reading = read_arguments(table, ["m", "--dp-size", "2", "--enable-metrics", "x", "--no-such"])
    assert [(use.name, use.values) for use in reading.uses] == [
        ("--dp-size", ("2",)),
        ("--enable-metrics", ()),
        ("--no-such", ()),
    ]
    assert [loose.value for loose in reading.loose] == ["m", "x"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$PORT", True),
        ("${PORT}", True),
        ("<HOST1>:8", True),
        ("http://$HOST:80", True),
        ("$(reboot)", False),
        ("5$", False),
        ("a<b", False),
    ],
)
def test_placeholders(value: str, expected: bool) -> None:
    assert has_placeholder(value) is expected


def test_behind_two_dashes_nothing_is_a_flag() -> None:
    reading = read_arguments(PEERS[3], ["--port", "1", "--", "--host"])
    assert [use.name for use in reading.uses] == ["--port"]
    assert [loose.value for loose in reading.loose] == ["--host"]


@pytest.mark.parametrize("name", ["-ac", "--attention-config", "-cc", "--speculative_config"])
@pytest.mark.parametrize("joined", [True, False])
def test_a_member_of_a_json_flag_has_a_value(name: str, joined: bool) -> None:
    """vLLM's FlexibleArgumentParser reads `-x.key=value` and `-x.key value` alike."""
    table = flag_table("vllm", newest_version("vllm"), "serve")
    words = [f"{name}.key=0.5"] if joined else [f"{name}.key", "0.5"]
    (use,) = read_arguments(table, words).uses
    assert use.values == ("0.5",)
    assert use.flag == table.find(name.replace("_", "-"))
    assert check_reading(read_arguments(table, ["m", *words])) == ()
