"""SGLang: the guide to the letter, and what works now."""

import json
from pathlib import Path
from typing import Any

import pytest

from k2compat.launch.memory.layout import Layout, check_batch_sizes, check_divisibility
from k2compat.launch.memory.sizes import ModelSizes, model_sizes
from k2compat.launch.plan import Command, Plan
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.request.cluster import Cluster, nodes_at, with_devices
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request
from tests.launch.support import argv, codes, environment, plan

CONFIGS = Path(__file__).parents[3] / "fixtures" / "configs"
TWO = ("10.0.0.1", "10.0.0.2")
PREFILL = ("10.0.1.1", "10.0.1.2")
DECODE = ("10.0.2.1", "10.0.2.2", "10.0.2.3")

SERVER = ["python", "-m", "sglang.launch_server"]

GUIDE_PREFILL = [
    *("--model-path", "$MODEL_PATH"),
    "--trust-remote-code",
    *("--disaggregation-mode", "prefill"),
    *("--dist-init-addr", "$PREFILL_NODE0:5757"),
    *("--tp-size", "32"),
    *("--dp-size", "32"),
    "--enable-dp-attention",
    *("--host", "$LOCAL_IP"),
    *("--decode-log-interval", "1"),
    "--disable-radix-cache",
    "--enable-deepep-moe",
    *("--moe-dense-tp-size", "1"),
    "--enable-dp-lm-head",
    "--disable-shared-experts-fusion",
    *("--watchdog-timeout", "1000000"),
    "--enable-two-batch-overlap",
    *("--disaggregation-ib-device", "$IB_DEVICE"),
    *("--chunked-prefill-size", "131072"),
    *("--mem-fraction-static", "0.85"),
    *("--deepep-mode", "normal"),
    *("--ep-dispatch-algorithm", "dynamic"),
    *("--eplb-algorithm", "deepseek"),
    *("--max-running-requests", "1024"),
    *("--nnodes", "4"),
    *("--node-rank", "$RANK"),
    *("--tool-call-parser", "kimi_k2"),
]
GUIDE_DECODE = [
    *("--model-path", "$MODEL_PATH"),
    "--trust-remote-code",
    *("--disaggregation-mode", "decode"),
    *("--dist-init-addr", "$DECODE_NODE0:5757"),
    *("--tp-size", "96"),
    *("--dp-size", "96"),
    "--enable-dp-attention",
    *("--host", "$LOCAL_IP"),
    *("--decode-log-interval", "1"),
    *("--context-length", "2176"),
    "--disable-radix-cache",
    "--enable-deepep-moe",
    *("--moe-dense-tp-size", "1"),
    "--enable-dp-lm-head",
    "--disable-shared-experts-fusion",
    *("--watchdog-timeout", "1000000"),
    "--enable-two-batch-overlap",
    *("--disaggregation-ib-device", "$IB_DEVICE"),
    *("--deepep-mode", "low_latency"),
    *("--mem-fraction-static", "0.8"),
    *("--cuda-graph-bs", "480"),
    *("--max-running-requests", "46080"),
    *("--ep-num-redundant-experts", "96"),
    *("--nnodes", "12"),
    *("--node-rank", "$RANK"),
    *("--tool-call-parser", "kimi_k2"),
]
GUIDE_ENVIRONMENT = {
    "MC_TE_METRIC": "true",
    "SGLANG_DISAGGREGATION_HEARTBEAT_INTERVAL": "10000000",
    "SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT": "100000",
    "SGLANG_DISAGGREGATION_WAITING_TIMEOUT": "100000",
    "PYTHONUNBUFFERED": "1",
}


def after(command: Command, flag: str) -> str:
    """The argument behind a flag."""
    words = argv(command)
    return words[words.index(flag) + 1]


def disaggregated(**options: Any) -> Plan:
    """A plan of strategy pd on two prefill and three decode nodes."""
    return plan("sglang", prefill=PREFILL, decode=DECODE, **options)


def of_role(found: Plan, role: str) -> list[Command]:
    return [command for command in found.commands if command.role == role]


# --- The guide -----------------------------------------------------------------------------------


def test_the_guides_tensor_parallelism() -> None:
    commands = plan("sglang", "$MODEL_PATH", profile="guide", strategy="tp").commands
    assert len(commands) == 2
    for rank, command in enumerate(commands):
        assert argv(command) == [
            *SERVER,
            *("--model-path", "$MODEL_PATH"),
            *("--tp", "16"),
            *("--dist-init-addr", "$MASTER_IP:50000"),
            *("--nnodes", "2"),
            *("--node-rank", str(rank)),
            "--trust-remote-code",
            *("--tool-call-parser", "kimi_k2"),
        ]
        assert environment(command) == {}
        assert command.files == {}


def test_the_guides_prefill_decode_and_load_balancer() -> None:
    found = plan("sglang", "$MODEL_PATH", profile="guide", strategy="pd")
    prefill, decode, balancer = found.commands
    assert argv(prefill) == [*SERVER, *GUIDE_PREFILL]
    assert environment(prefill) == GUIDE_ENVIRONMENT
    assert argv(decode) == [*SERVER, *GUIDE_DECODE]
    assert environment(decode) == {
        "SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK": "480",
        **GUIDE_ENVIRONMENT,
    }
    assert next(iter(environment(decode))) == "SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK"
    assert argv(balancer) == [
        *("python", "-m", "sglang.srt.disaggregation.launch_lb"),
        *("--prefill", "http://${PREFILL_NODE0}:30000"),
        *("--decode", "http://${DECODE_NODE0}:30000"),
    ]
    assert environment(balancer) == {"PYTHONUNBUFFERED": "1"}
    assert balancer.after == (prefill.id, decode.id)


def test_the_guides_numbers_follow_from_the_nodes_that_are_named() -> None:
    found = disaggregated(
        model="/k2", profile="guide", values={"master_port": "6000", "context": "65536"}
    )
    prefill, decode = of_role(found, "prefill"), of_role(found, "decode")
    assert [after(command, "--node-rank") for command in prefill] == ["0", "1"]
    assert [after(command, "--host") for command in decode] == list(DECODE)
    for command in decode:
        assert after(command, "--tp-size") == after(command, "--dp-size") == "24"
        assert after(command, "--nnodes") == "3"
        assert after(command, "--max-running-requests") == str(24 * 480)
        assert after(command, "--ep-num-redundant-experts") == "24"
        assert after(command, "--dist-init-addr") == "10.0.2.1:6000"
        assert after(command, "--context-length") == "65536"
        assert argv(command).count("--context-length") == 1
    assert after(prefill[0], "--chunked-prefill-size") == str(16 * 4096)
    assert after(prefill[0], "--max-running-requests") == str(16 * 32)
    (balancer,) = of_role(found, "load-balancer")
    assert after(balancer, "--prefill") == "http://10.0.1.1:30000"
    assert after(balancer, "--decode") == "http://10.0.2.1:30000"


def test_what_the_guide_leaves_out_is_added_where_it_is_given() -> None:
    values = {"port": "31000", "served_model_name": "k2"}
    command = plan("sglang", profile="guide", strategy="tp", values=values).commands[0]
    assert argv(command)[-4:] == ["--port", "31000", "--served-model-name", "k2"]
    found = disaggregated(profile="guide", values=values)
    assert argv(of_role(found, "load-balancer")[0])[-2:] == ["--port", "31000"]
    assert "--port" not in argv(of_role(found, "prefill")[0])


@pytest.mark.parametrize(
    ("strategy", "version", "code"),
    [
        ("tp", "0.4.9.post2", "guide-host-missing"),
        ("tp", "0.4.9.post2", "guide-interface-missing"),
        ("tp", "0.4.9.post2", "guide-blobfile"),
        ("pd", "0.4.9.post2", "guide-dollar-mended"),
        ("pd", "0.4.9.post2", "guide-benchmark-settings"),
        ("pd", "0.5.2", "guide-program-gone"),
        ("pd", "0.5.2", "prefill-balance-missing"),
    ],
)
def test_the_guides_errors_are_named(strategy: str, version: str, code: str) -> None:
    theirs = plan("sglang", profile="guide", strategy=strategy, engine_version=version)
    assert code in codes(theirs)
    ours = plan("sglang", strategy=strategy, engine_version=version)
    assert code not in codes(ours)


@pytest.mark.parametrize(
    ("strategy", "version", "flags"),
    [
        ("tp", "0.4.9.post2", {"--tp": "flag-abbreviated"}),
        ("tp", "0.5.23", {"--tp": "flag-abbreviated"}),
        ("pd", "0.4.9.post2", {}),
        ("pd", "0.4.10.post2", {"--enable-deepep-moe": "flag-deprecated"}),
        (
            "pd",
            "0.5.3",
            {
                "--enable-deepep-moe": "flag-refused",
                "--prefill": "flag-renamed",
                "--decode": "flag-renamed",
            },
        ),
        (
            "pd",
            "0.5.23",
            {
                "--enable-deepep-moe": "flag-renamed",
                "--cuda-graph-bs": "flag-renamed",
                "--dp-size": "flag-deprecated",
                "--enable-dp-attention": "flag-deprecated",
                "--prefill": "flag-renamed",
                "--decode": "flag-renamed",
            },
        ),
    ],
)
def test_what_became_of_the_guides_flags(
    strategy: str, version: str, flags: dict[str, str]
) -> None:
    found = plan("sglang", profile="guide", strategy=strategy, engine_version=version)
    told = {
        finding.where.split(": ")[1]: finding.code
        for finding in found.findings
        if finding.code.startswith("flag-")
    }
    assert told == flags


# --- What works now ------------------------------------------------------------------------------


def test_one_node_needs_no_addresses() -> None:
    for strategy in ("tp", "tp-pp", "dp-ep"):
        (command,) = plan("sglang", nodes=("10.0.0.1",), strategy=strategy).commands
        assert not {"10.0.0.1", "--dist-init-addr", "--nnodes"} & set(argv(command))
        assert "GLOO_SOCKET_IFNAME" not in environment(command)
        assert [port.name for port in command.ports] == ["http"]


@pytest.mark.parametrize("strategy", ["tp", "tp-pp", "dp-ep"])
def test_two_nodes_meet_at_the_first(strategy: str) -> None:
    commands = plan("sglang", nodes=TWO, strategy=strategy).commands
    for rank, command in enumerate(commands):
        assert argv(command)[:2] == ["sglang", "serve"]
        assert after(command, "--dist-init-addr") == "10.0.0.1:20000"
        assert after(command, "--nnodes") == "2"
        assert after(command, "--node-rank") == str(rank)
        assert after(command, "--host") == "0.0.0.0"
        assert environment(command)["GLOO_SOCKET_IFNAME"] == "$INTERFACE"
        assert environment(command)["NCCL_SOCKET_IFNAME"] == "$INTERFACE"
    assert [port.name for port in commands[0].ports] == ["http", "rendezvous"]
    assert [port.name for port in commands[1].ports] == ["http"]


@pytest.mark.parametrize(
    ("version", "program"),
    [("0.4.9.post2", SERVER), ("0.5.9", SERVER), ("0.5.10", ["sglang", "serve"])],
)
def test_the_program_is_what_the_version_recommends(version: str, program: list[str]) -> None:
    """From 0.5.10 on launch_server prints that `sglang serve` is recommended."""
    for options in ({}, {"nodes": TWO, "strategy": "dp-ep"}, {"prefill": ("a",), "decode": ("b",)}):
        for command in plan("sglang", engine_version=version, **options).commands:
            if command.role != "load-balancer":
                assert argv(command)[: len(program)] == program
                assert command.head == len(program)


def test_an_ipv6_address_is_bracketed_before_a_port() -> None:
    found = plan("sglang", prefill=("fd00::1",), decode=("fd00::2",))
    prefill, decode, balancer = found.commands
    assert after(prefill, "--host") == "fd00::1"
    assert after(decode, "--dist-init-addr") == "[fd00::2]:20000"
    assert after(balancer, "--prefill") == "http://[fd00::1]:30000"


def test_the_layouts_are_what_the_flags_say() -> None:
    assert plan("sglang", nodes=TWO).layouts == {"": Layout(16)}
    assert plan("sglang", nodes=TWO, strategy="tp-pp").layouts == {"": Layout(8, 2)}
    spread = Layout(1, data_parallel=16, expert_parallel=16)
    assert plan("sglang", nodes=TWO, strategy="dp-ep").layouts == {"": spread}
    assert disaggregated().layouts == {
        "prefill": spread,
        "decode": Layout(1, data_parallel=24, expert_parallel=24),
    }
    guide = plan("sglang", profile="guide", strategy="pd").layouts
    assert guide["prefill"] == Layout(1, data_parallel=32, expert_parallel=32)
    assert guide["decode"] == Layout(1, data_parallel=96, expert_parallel=96, redundant_experts=96)


@pytest.mark.parametrize("nodes", range(1, 14))
@pytest.mark.parametrize("profile", ["default", "guide"])
def test_every_number_of_nodes_divides_the_model_and_the_batch(profile: str, nodes: int) -> None:
    hosts = [f"10.0.{group}.{node}" for group in (1, 2) for node in range(1, nodes + 1)]
    found = plan(
        "sglang", profile=profile, prefill=tuple(hosts[:nodes]), decode=tuple(hosts[nodes:])
    )
    sizes = model_sizes(read_model("moonshotai/Kimi-K2-Instruct").config)
    assert isinstance(sizes, ModelSizes)
    for layout in found.layouts.values():
        assert list(check_divisibility(sizes, layout, nodes, 8)) == []
    prefill, decode = of_role(found, "prefill")[0], of_role(found, "decode")[0]
    graph = "--cuda-graph-bs" if profile == "guide" else "--cuda-graph-max-bs-decode"
    limit = environment(decode)["SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK"]
    assert [
        *check_batch_sizes(
            nodes * 8,
            max_running_requests=int(after(prefill, "--max-running-requests")),
            chunked_prefill_size=int(after(prefill, "--chunked-prefill-size")),
        ),
        *check_batch_sizes(
            nodes * 8,
            max_running_requests=int(after(decode, "--max-running-requests")),
            largest_cuda_graph=int(after(decode, graph)),
            dispatch_tokens=int(limit),
        ),
    ] == []


def test_experts_that_do_not_divide_are_filled_up() -> None:
    five = tuple(f"10.0.0.{node}" for node in range(1, 6))
    found = plan("sglang", nodes=five, strategy="dp-ep")
    assert after(found.commands[0], "--ep-num-redundant-experts") == "16"
    assert found.layouts[""].redundant_experts == 16
    assert "--ep-num-redundant-experts" not in argv(disaggregated().commands[0])


def test_prefill_and_decode_stand_behind_a_router() -> None:
    found = disaggregated()
    *servers, router = found.commands
    assert argv(router) == [
        *("python", "-m", "sglang_router.launch_router", "--pd-disaggregation"),
        *("--prefill", "http://10.0.1.1:30000", "8998"),
        *("--decode", "http://10.0.2.1:30000"),
        *("--host", "0.0.0.0"),
        *("--port", "8000"),
    ]
    assert router.after == tuple(command.id for command in servers)
    for command in servers:
        assert after(command, "--host") == str(command.node.address)
        assert after(command, "--disaggregation-ib-device") == "$IB_DEVICE"
    assert after(servers[0], "--deepep-mode") == "normal"
    assert after(servers[-1], "--deepep-mode") == "low_latency"
    assert "--disaggregation-bootstrap-port" not in argv(servers[-1])


def test_devices_of_a_node_take_the_placeholders_place() -> None:
    nodes = (*nodes_at(PREFILL, "prefill"), *nodes_at(DECODE, "decode"))
    cluster = Cluster(tuple(with_devices(nodes, "bond0", "mlx5_0,mlx5_1")))
    request = Request(engine="sglang", model=read_model("Kimi-K2-Instruct"), cluster=cluster)
    *servers, _router = plan_launch(request).commands
    for command in servers:
        assert after(command, "--disaggregation-ib-device") == "mlx5_0,mlx5_1"
        assert environment(command)["NCCL_SOCKET_IFNAME"] == "bond0"


def test_before_0_5_2_the_load_balancer_is_sglangs_own() -> None:
    (balancer,) = of_role(disaggregated(engine_version="0.5.1"), "load-balancer")
    assert argv(balancer)[:3] == ["python", "-m", "sglang.srt.disaggregation.launch_lb"]
    assert after(balancer, "--prefill-bootstrap-ports") == "8998"


def test_no_two_programs_of_a_node_share_a_port() -> None:
    for found in (disaggregated(), plan("sglang", profile="guide", strategy="pd")):
        for node in found.nodes:
            numbers = [
                str(port.number)
                for command in found.commands
                if command.node == node
                for port in command.ports
            ]
            assert len(numbers) == len(set(numbers))
    first = disaggregated().nodes[0]
    assert {
        port.name: str(port.number)
        for command in disaggregated().commands
        if command.node == first and command.role == "prefill"
        for port in command.ports
    } == {"http": "30000", "rendezvous": "20000", "bootstrap": "8998"}


def test_no_setting_of_a_benchmark_is_in_the_default_profile() -> None:
    flags = {"--context-length", "--watchdog-timeout", "--disable-radix-cache"}
    for command in disaggregated().commands:
        assert not flags & set(argv(command))
        assert not any("TIMEOUT" in name or "HEARTBEAT" in name for name in environment(command))
    given = disaggregated(values={"context": "65536"}).commands
    assert after(given[0], "--context-length") == "65536"


def test_memory_is_sglangs_choice_but_on_the_guides_gpus() -> None:
    assert "--mem-fraction-static" not in argv(disaggregated().commands[0])
    prefill, *_, decode, _router = disaggregated(gpu="h200").commands
    assert after(prefill, "--mem-fraction-static") == "0.85"
    assert after(decode, "--mem-fraction-static") == "0.8"


@pytest.mark.parametrize(
    ("version", "expected", "absent"),
    [
        ("0.4.9.post2", ["--enable-deepep-moe", "--enable-dp-attention"], "--moe-a2a-backend"),
        ("0.4.10", ["--enable-deepep-moe", "--cuda-graph-max-bs"], "--moe-a2a-backend"),
        ("0.4.10.post2", ["--moe-a2a-backend", "--cuda-graph-max-bs"], "--enable-deepep-moe"),
        ("0.5.2", ["--moe-a2a-backend", "--enable-dp-attention"], "--enable-deepep-moe"),
        ("0.5.5", ["--moe-a2a-backend", "--cuda-graph-max-bs"], "--enable-deepep-moe"),
        ("0.5.14", ["--cuda-graph-max-bs-decode", "--dp-size"], "--cuda-graph-max-bs"),
        ("0.5.21", ["--dp-size", "--enable-dp-attention"], "--attn-dp-size"),
        ("0.5.22", ["--attn-dp-size"], "--enable-dp-attention"),
        ("0.5.23", ["--attn-dp-size", "--cuda-graph-max-bs-decode"], "--dp-size"),
    ],
)
def test_each_version_gets_the_flags_that_it_knows(
    version: str, expected: list[str], absent: str
) -> None:
    words = argv(plan("sglang", nodes=TWO, strategy="dp-ep", engine_version=version).commands[0])
    assert set(expected) <= set(words)
    assert absent not in words


@pytest.mark.parametrize(
    ("version", "needed"), [("0.5.1", False), ("0.5.2", True), ("0.5.7", True), ("0.5.8", False)]
)
def test_some_decode_servers_insist_on_balanced_prefill(version: str, *, needed: bool) -> None:
    found = disaggregated(engine_version=version)
    for command in found.commands:
        there = "--prefill-round-robin-balance" in argv(command)
        assert there == (needed and command.role == "decode")


# --- Models and versions -------------------------------------------------------------------------


def test_a_model_that_thinks_fits_one_node_and_gets_its_parser() -> None:
    (command,) = plan("sglang", "Kimi-K2-Thinking").commands
    assert after(command, "--tp-size") == "8"
    assert argv(command)[-4:] == [
        *("--tool-call-parser", "kimi_k2"),
        *("--reasoning-parser", "kimi_k2"),
    ]
    (seeing,) = plan("sglang", "Kimi-K2.5").commands
    assert argv(seeing)[-4:] == argv(command)[-4:]
    (plain,) = plan("sglang").commands
    assert "--reasoning-parser" not in argv(plain)


def test_int4_experts_are_spread_without_deepep() -> None:
    found = disaggregated(model="Kimi-K2-Thinking", gpu="h200")
    for command in (*of_role(found, "prefill"), *of_role(found, "decode")):
        words = argv(command)
        assert "--ep-size" in words
        assert not any("deepep" in word or word == "--mem-fraction-static" for word in words)
        assert "--enable-two-batch-overlap" not in words
        assert not any("DEEPEP" in name for name in environment(command))


@pytest.mark.parametrize(
    ("code", "model", "strategy", "before", "since"),
    [
        ("tool-parser-missing", "Kimi-K2-Instruct", "tp", "0.4.9.post1", "0.4.9.post2"),
        ("tool-call-ids-random", "Kimi-K2-Instruct", "tp", "0.5.1", "0.5.1.post3"),
        ("tool-call-ids-restart", "Kimi-K2-Instruct", "tp", "0.5.2", "0.5.3"),
        ("reasoning-unparsed", "Kimi-K2-Thinking", "tp", "0.5.4", "0.5.5"),
        ("model-unknown-to-engine", "Kimi-K2.5", "tp", "0.5.8.post1", "0.5.9"),
        ("pipeline-unsupported", "Kimi-K2-Instruct", "tp-pp", "0.4.10.post2", "0.5.1"),
        ("pipeline-unsupported", "Kimi-K2.5", "tp-pp", "0.5.9", "0.5.10"),
        ("int4-experts-undivided", "Kimi-K2-Thinking", "dp-ep", "0.5.6", "0.5.8"),
    ],
)
def test_what_an_older_version_cannot_do_is_said(
    code: str, model: str, strategy: str, before: str, since: str
) -> None:
    older = plan("sglang", model, strategy=strategy, engine_version=before)
    assert code in codes(older)
    newer = plan("sglang", model, strategy=strategy, engine_version=since)
    assert code not in codes(newer)


def test_the_newest_version_has_nothing_to_be_said() -> None:
    for strategy in ("tp", "tp-pp", "dp-ep", "pd"):
        for model in ("Kimi-K2-Instruct", "Kimi-K2-Thinking", "Kimi-K2.5"):
            assert set(codes(plan("sglang", model, strategy=strategy))) <= {
                "model-assumed",
                "placeholder-open",
                "fit-by-weights",
            }


def test_a_patched_model_type_costs_nothing_here(tmp_path: Path) -> None:
    """SGLang and vLLM choose the style of the ids by the parser, not by model_type."""
    config = json.loads((CONFIGS / "moonshotai--Kimi-K2-Instruct.json").read_text("utf-8"))
    patched = {**config, "model_type": "deepseek_v3"}
    (tmp_path / "config.json").write_text(json.dumps(patched), encoding="utf-8")
    assert "patched" in read_model(str(tmp_path)).facts
    assert codes(plan("sglang", str(tmp_path), nodes=("10.0.0.1",))) == []
    assert codes(plan("vllm", str(tmp_path), nodes=("10.0.0.1",))) == []


@pytest.mark.parametrize(
    ("strategy", "version", "model", "setting"),
    [
        ("dp-ep", "0.5.23", "Kimi-K2-Instruct", "dp-size=2"),
        ("tp-pp", "0.5.9", "Kimi-K2-Instruct", "enable-mixed-chunk"),
        ("tp-pp", "0.5.9", "Kimi-K2-Instruct", "speculative-algorithm=EAGLE"),
        ("dp-ep", "0.5.23", "Kimi-K2-Thinking", "moe-a2a-backend=deepep"),
        ("pd", "0.5.23", "Kimi-K2-Instruct", "enable-response-store"),
        ("pd", "0.5.23", "Kimi-K2-Instruct", "deepep-mode=normal"),
    ],
)
def test_combinations_that_do_harm_are_named(
    strategy: str, version: str, model: str, setting: str
) -> None:
    found = plan("sglang", model, strategy=strategy, engine_version=version, settings=(setting,))
    assert "flag-combination" in codes(found)
    plain = plan("sglang", model, strategy=strategy, engine_version=version)
    assert "flag-combination" not in codes(plain)
