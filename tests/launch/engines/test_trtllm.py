"""TensorRT-LLM: the guide to the letter, and one bundle that works now."""

from itertools import product
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.findings import Severity
from k2compat.launch.flags import newest_version, table_versions, version_of
from k2compat.launch.plan import Command, Plan
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.render import render_plan
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster, nodes_at
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request
from tests.launch.support import argv, codes, plan
from tests.support.guide import TRTLLM_YAML

TWO = ("10.0.0.1", "10.0.0.2")
MODEL = "/data/Kimi-K2-Instruct"

GUIDE_CONTAINER = [
    *("docker", "run", "-it"),
    *("--name", "test_2node_docker_host{number}"),
    *("--ipc=host", "--gpus=all"),
    *("--network", "host"),
    "--privileged",
    *("--ulimit", "memlock=-1", "--ulimit", "stack=67108864"),
    *("-v", "${PWD}:/workspace"),
    *("-v", "<YOUR_MODEL_DIR>:/models/DeepSeek-V3"),
    *("-w", "/workspace"),
    "<YOUR_IMAGE>",
]
GUIDE_SERVE = [
    *("mpirun", "-np", "16"),
    *("-H", "<HOST1>:8,<HOST2>:8"),
    *("-mca", "plm_rsh_args", "-p 2233"),
    "--allow-run-as-root",
    *("trtllm-llmapi-launch", "trtllm-serve", "serve"),
    *("--backend", "pytorch"),
    *("--tp_size", "16"),
    *("--ep_size", "8"),
    *("--kv_cache_free_gpu_memory_fraction", "0.95"),
    "--trust_remote_code",
    *("--max_batch_size", "128"),
    *("--max_num_tokens", "4096"),
    *("--extra_llm_api_options", "/path/to/TensorRT-LLM/extra-llm-api-config.yml"),
    *("--port", "8000"),
    "<YOUR_MODEL_DIR>",
]


def guide(**options: Any) -> Plan:
    return plan("trtllm", "<YOUR_MODEL_DIR>", profile="guide", **options)


def commands(found: Plan) -> dict[str, Command]:
    """A plan's commands by their ids."""
    return {command.id: command for command in found.commands}


def settings(found: Plan) -> Any:
    """What the server reads from trtllm.yml."""
    return yaml.safe_load(commands(found)["container-node0"].files["trtllm.yml"])


def in_order(text: str) -> Any:
    """YAML's members as lists, so that their order is compared too."""
    members = yaml.safe_load(text)
    return [
        (key, list(value.items()) if isinstance(value, dict) else value)
        for key, value in members.items()
    ]


# --- The guide ---


@pytest.mark.parametrize(("node", "number", "peer"), [("node0", "1", "2"), ("node1", "2", "1")])
def test_the_guides_commands_on_each_host(node: str, number: str, peer: str) -> None:
    found = [command for command in guide().commands if command.node.name == node]
    container, *inside = [command for command in found if command.role != "serve"]
    assert argv(container) == [word.replace("{number}", number) for word in GUIDE_CONTAINER]
    assert container.inside is None
    assert [argv(command) for command in inside] == [
        ["pip", "install", "blobfile"],
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "openssh-server"],
        ["ssh-keygen", "-t", "ed25519", "-f", "~/.ssh/id_ed25519"],
        ["ssh-copy-id", "-i", "~/.ssh/id_ed25519.pub", f"root@<HOST{peer}>"],
        ["service", "ssh", "restart"],
    ]
    assert {str(command.inside) for command in inside} == {f"test_2node_docker_host{number}"}
    assert all(command.environment == {} for command in found)


def test_the_guides_sshd_lines() -> None:
    for node in ("node0", "node1"):
        assert commands(guide())[f"sshd-{node}"].files == {
            "/etc/ssh/sshd_config": "PermitRootLogin yes\nPubkeyAuthentication yes\nport 2233\n"
        }


def test_the_guides_server_and_its_settings() -> None:
    serve = commands(guide())["serve-node0"]
    assert argv(serve) == GUIDE_SERVE
    ((path, text),) = serve.files.items()
    assert path == "/path/to/TensorRT-LLM/extra-llm-api-config.yml"
    assert in_order(text) == in_order(TRTLLM_YAML)


def test_the_guides_commands_follow_each_other() -> None:
    found = guide()
    seen: list[str] = []
    for command in found.commands:
        assert set(command.after) <= set(seen)
        seen.append(command.id)
    assert commands(found)["copy-key-node0"].after == ("user-key-node0",)
    assert commands(found)["serve-node0"].after == (
        *("sshd-node0", "sshd-node1"),
        *("blobfile-node0", "blobfile-node1"),
    )


def test_what_the_guide_leaves_open_is_filled_where_it_is_given() -> None:
    found = plan(
        "trtllm",
        MODEL,
        profile="guide",
        nodes=TWO,
        values={"image": "trtllm:rc2", "ssh_port": "2022"},
    )
    by_id = commands(found)
    assert argv(by_id["container-node0"])[-1] == "trtllm:rc2"
    assert f"{MODEL}:/models/DeepSeek-V3" in argv(by_id["container-node0"])
    assert argv(by_id["copy-key-node1"])[-1] == "root@10.0.0.1"
    assert "10.0.0.1:8,10.0.0.2:8" in argv(by_id["serve-node0"])
    assert "-p 2022" in argv(by_id["serve-node0"])
    assert "port 2022" in by_id["sshd-node0"].files["/etc/ssh/sshd_config"]
    assert "placeholder-open" not in codes(found)


def test_each_of_three_hosts_gets_the_keys_of_both_others() -> None:
    by_id = commands(plan("trtllm", MODEL, profile="guide", nodes=(*TWO, "10.0.0.3")))
    assert argv(by_id["copy-key-node1-0"])[-1] == "root@10.0.0.1"
    assert argv(by_id["copy-key-node1-1"])[-1] == "root@10.0.0.3"
    assert by_id["sshd-node1"].after == ("copy-key-node1-0", "copy-key-node1-1")


@pytest.mark.parametrize(
    "code",
    [
        "guide-ssh-port",
        "guide-ssh-order",
        "guide-ssh-first-login",
        "guide-ssh-port-twice",
        "guide-model-path",
        "guide-host-missing",
        "guide-interface-missing",
        "guide-blobfile",
        "guide-architecture-name",
        "guide-ssh-unfinished",
        "guide-container-interactive",
        "tool-calls-unparsed",
    ],
)
def test_the_guides_errors_are_named(code: str) -> None:
    assert code in codes(guide())
    assert code not in codes(plan("trtllm", MODEL, nodes=TWO, strategy="dp-ep"))


def test_the_guides_settings_stop_later_servers() -> None:
    assert "settings-key-renamed" not in codes(guide())
    assert "settings-key-renamed" not in codes(guide(engine_version="1.0.0rc3"))
    for version in ("1.0.0rc4", "1.0.0", "2025-autumn", "1.3.0rc29"):
        found = guide(engine_version=version)
        (finding,) = [f for f in found.findings if f.code == "settings-key-renamed"]
        assert finding.severity is Severity.ERROR
        assert "settings-key-renamed" not in codes(
            plan("trtllm", MODEL, nodes=TWO, strategy="dp-ep", engine_version=version)
        )


def test_the_guides_backend_is_deprecated_today() -> None:
    assert "flag-deprecated" not in codes(guide())
    assert "flag-deprecated" in codes(guide(engine_version="1.3.0rc29"))


# --- What works now ---

VERSIONS = ("1.0.0rc2", "1.0.0rc4", "1.0.0", "2025-autumn", "1.2.0", "1.3.0", "1.3.0rc29")


def test_every_flag_is_one_that_the_version_has() -> None:
    models = (MODEL, "moonshotai/Kimi-K2-Thinking", "moonshotai/Kimi-K2.5")
    clusters = (("10.0.0.1",), TWO, (*TWO, "10.0.0.3", "10.0.0.4"))
    wrong: list[str] = []
    for version, model, strategy, nodes in product(
        VERSIONS, models, ("tp", "tp-pp", "dp-ep"), clusters
    ):
        found = plan("trtllm", model, nodes=nodes, strategy=strategy, engine_version=version)
        messages = [each.message for each in found.findings if each.code.startswith("flag-")]
        if not any(command.entry == "serve" for command in found.commands):
            messages.append("no command serves")
        wrong += [f"{version} {model} {strategy} {len(nodes)} nodes: {each}" for each in messages]
    assert wrong == []


def test_the_newest_table_is_the_default() -> None:
    newest = version_of("trtllm", newest_version("trtllm"))  # the table's name is no release's
    assert plan("trtllm").engine_version == str(newest)
    assert guide().engine_version == table_versions("trtllm")[0]


def test_the_ssh_port_and_the_models_path_each_stand_in_one_place() -> None:
    found = plan("trtllm", MODEL, nodes=TWO, values={"ssh_port": "2022", "interface": "eth0"})
    by_id = commands(found)
    files = {path: text for command in found.commands for path, text in command.files.items()}
    assert "Port 2022\n" in files["ssh/sshd_config"]
    serve = argv(by_id["serve-node0"])
    assert serve[serve.index("plm_rsh_args") + 1].startswith("-p 2022 ")
    assert serve[-1] == "/models/Kimi-K2"
    assert f"{MODEL}:/models/Kimi-K2:ro" in argv(by_id["container-node1"])
    assert "2233" not in str(found.commands)


def test_keys_are_made_once_and_mounted() -> None:
    found = plan("trtllm", MODEL, nodes=TWO)
    by_id = commands(found)
    made = [command for command in found.commands if argv(command)[0] == "ssh-keygen"]
    assert [(command.node.name, command.creates) for command in made] == [
        ("node0", "ssh/id_ed25519"),
        ("node0", "ssh/host_ed25519"),
    ]
    assert argv(made[0])[argv(made[0]).index("-N") + 1] == ""
    assert not any(argv(command)[0] == "ssh-copy-id" for command in found.commands)
    for node in ("node0", "node1"):
        container = by_id[f"container-{node}"]
        assert "${PWD}:/workspace:ro" in argv(container)
        sshd = container.files["ssh/sshd_config"]
        assert "AuthorizedKeysFile /workspace/ssh/id_ed25519.pub" in sshd
        assert "PasswordAuthentication no" in sshd
        order = [command.id for command in found.commands]
        assert order.index(f"container-{node}") < order.index(f"sshd-{node}")
    assert by_id["serve-node0"].after[:2] == ("sshd-node0", "sshd-node1")


def test_a_bundle_is_rendered_for_every_node() -> None:
    files = render_plan(plan("trtllm", MODEL, nodes=TWO), "sh")
    assert set(files) == {
        *("node0.sh", "node1.sh"),
        *("ssh/ssh_config", "ssh/sshd_config", "trtllm.yml"),
    }
    assert "mpirun" not in files["node1.sh"].text


def test_an_interface_reaches_every_rank() -> None:
    found = plan("trtllm", MODEL, nodes=TWO)
    by_id = commands(found)
    for node in ("node0", "node1"):
        container = argv(by_id[f"container-{node}"])
        assert "NCCL_SOCKET_IFNAME=$INTERFACE" in container
        assert "GLOO_SOCKET_IFNAME=$INTERFACE" in container
    serve = argv(by_id["serve-node0"])
    passed = [serve[at + 1] for at, word in enumerate(serve) if word == "-x"]
    assert {"NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"} <= set(passed)


def test_one_node_needs_no_mpi_and_no_ssh() -> None:
    for strategy in ("tp", "tp-pp", "dp-ep"):
        found = plan("trtllm", MODEL, nodes=TWO[:1], strategy=strategy)
        words = {word for command in found.commands for word in argv(command)}
        assert not words & {"mpirun", "ssh-keygen", "service", "--privileged"}
        assert "10.0.0.1" not in str(words)
        assert [command.id for command in found.commands] == [
            "container-node0",
            "blobfile-node0",
            "serve-node0",
        ]


@pytest.mark.parametrize(
    ("version", "padding", "flag", "backend"),
    [
        ("1.0.0rc2", "padding_enabled", "--extra_llm_api_options", True),
        ("1.0.0rc4", "enable_padding", "--extra_llm_api_options", True),
        ("2025-autumn", "enable_padding", "--extra_llm_api_options", False),
        ("1.3.0rc29", "enable_padding", "--config", False),
    ],
)
def test_what_each_version_calls_things(
    version: str, padding: str, flag: str, backend: bool
) -> None:
    found = plan("trtllm", MODEL, nodes=TWO, engine_version=version)
    words = argv(commands(found)["serve-node0"])
    assert settings(found)["cuda_graph_config"] == {
        padding: True,
        "batch_sizes": [1, 2, 4, 8, 16, 32, 64, 128],
    }
    assert words[words.index(flag) + 1] == "/workspace/trtllm.yml"
    assert ("--backend" in words) is backend
    assert words[words.index("--host") + 1] == "0.0.0.0"


@pytest.mark.parametrize(
    ("strategy", "layout", "flags"),
    [
        ("tp", "TP16", {"--tp_size": "16"}),
        ("tp-pp", "TP8·PP2", {"--tp_size": "8", "--pp_size": "2"}),
        ("dp-ep", "TP1·DP16·EP8", {"--tp_size": "16", "--ep_size": "8"}),
    ],
)
def test_each_strategy_divides_the_gpus(strategy: str, layout: str, flags: dict[str, str]) -> None:
    found = plan("trtllm", MODEL, nodes=TWO, strategy=strategy)
    words = argv(commands(found)["serve-node0"])
    sizes = {word: words[at + 1] for at, word in enumerate(words) if word.endswith("_size")}
    assert {name: size for name, size in sizes.items() if name != "--max_batch_size"} == flags
    assert str(found.layouts[""]) == layout
    attention_dp = settings(found).get("enable_attention_dp", False)
    assert attention_dp is (strategy == "dp-ep")


def test_tool_calls_and_reasoning_are_parsed_where_the_version_can() -> None:
    def words(model: str, version: str) -> list[str]:
        return argv(commands(plan("trtllm", model, engine_version=version))["serve-node0"])

    assert "--tool_parser" not in words("/k2", "2025-autumn")
    assert words("/k2", "1.2.0")[-3:-1] == ["--tool_parser", "kimi_k2"]
    assert "--reasoning_parser" not in words("/k2", "1.3.0rc29")
    assert words("Kimi-K2-Thinking", "1.3.0rc29")[-3:-1] == ["--reasoning_parser", "kimi_k2"]
    assert words("Kimi-K2.5", "1.3.0rc29")[-3:-1] == ["--reasoning_parser", "kimi_k25"]


def test_what_a_version_cannot_do_is_said() -> None:
    old = codes(plan("trtllm", "Kimi-K2.5", engine_version="1.2.0"))
    assert {"reasoning-unparsed", "model-unsupported", "weights-not-documented"} <= set(old)
    assert "tool-calls-unparsed" in codes(plan("trtllm", engine_version="1.0.0rc2"))
    assert "tool-calls-unparsed" in codes(guide(engine_version="1.3.0rc29"))


def test_options_that_were_given_reach_the_server() -> None:
    values = {"context": "65536", "port": "9000", "served_model_name": "k2"}
    words = argv(commands(plan("trtllm", MODEL, values=values))["serve-node0"])
    for flag, value in (("--max_seq_len", "65536"), ("--port", "9000")):
        assert words[words.index(flag) + 1] == value
    assert words[words.index("--served_model_name") + 1] == "k2"


def test_a_name_for_clients_that_the_version_cannot_set_is_told() -> None:
    found = plan("trtllm", values={"served_model_name": "k2"}, engine_version="1.2.0")
    assert "option-without-flag" in codes(found)
    assert "k2" not in str([argv(command) for command in found.commands]).split("'")


def test_interfaces_of_different_names_are_told() -> None:
    nodes = [
        replace(node, interface=Argument.literal(name))
        for node, name in zip(nodes_at(TWO), ("eth0", "bond0"), strict=True)
    ]
    request = Request(engine="trtllm", model=read_model(MODEL), cluster=Cluster(tuple(nodes)))
    assert "interfaces-differ" in codes(plan_launch(request))
    assert "interfaces-differ" not in codes(plan("trtllm", MODEL, nodes=TWO))


# --- What is mounted ---


def test_a_model_that_is_only_a_name_leaves_its_folder_open() -> None:
    found = plan("trtllm", "moonshotai/Kimi-K2-Instruct")
    assert "<YOUR_MODEL_DIR>:/models/Kimi-K2:ro" in argv(commands(found)["container-node0"])
    assert "YOUR_MODEL_DIR" in {placeholder.name for placeholder in found.placeholders}


def test_a_path_that_docker_would_cut_is_refused() -> None:
    with pytest.raises(RefusedError) as refusal:
        plan("trtllm", "/data/K2:/etc")
    assert refusal.value.code == "mount-malformed"


def test_a_port_that_nobody_knows_cannot_stand_in_a_file() -> None:
    with pytest.raises(RefusedError) as refusal:
        plan("trtllm", MODEL, nodes=TWO, values={"ssh_port": "$SSH_PORT"})
    assert refusal.value.code == "placeholder-in-file"


def test_ipv6_addresses_are_bracketed_for_mpirun() -> None:
    words = argv(commands(plan("trtllm", MODEL, nodes=("fd00::1", "fd00::2")))["serve-node0"])
    assert words[words.index("-H") + 1] == "[fd00::1]:8,[fd00::2]:8"


def test_the_guides_one_way_answers_to_tp_too() -> None:
    asked = plan("trtllm", MODEL, profile="guide", strategy="tp")
    assert asked == plan("trtllm", MODEL, profile="guide")
