"""Options that were given and change nothing are named."""

import pytest

from k2compat.launch.planning.formats import for_format
from k2compat.launch.planning.options import unused_options
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster, nodes_at, with_devices
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request

VALUES = {
    "port": "9000",
    "rpc_port": "9001",
    "master_port": "9002",
    "ssh_port": "54321",
    "served_model_name": "k2",
    "image": "registry/image",
    "context": "4096",
    "gguf_path": "/gguf",
}
NEVER = ("--ssh-port", "--gguf-path", "--amx")  # by vLLM and SGLang
OTHERS = ("amx", "executor", "interface", "ib_device", "strategy", "settings")


def unused(engine: str, *, nodes: int = 2, output_format: str = "text", **rest: object) -> set[str]:
    """The options, of all there are, that change nothing."""
    request = Request(
        engine=engine,
        model=read_model("/models/K2"),
        cluster=Cluster(tuple(with_devices(nodes_at([str(nodes)]), "eth0", "mlx5_0"))),
        values={name: Argument.literal(value) for name, value in VALUES.items()},
        facts=frozenset({"amx", "executor=mp"}),
        **rest,  # type: ignore[arg-type]
    )
    request = for_format(request, output_format)
    found = unused_options(request, plan_launch(request), output_format, [*VALUES, *OTHERS])
    return {finding.where for finding in found}


@pytest.mark.parametrize(
    ("engine", "options", "expected"),
    [
        ("vllm", {}, {*NEVER, "--rpc-port", "--image"}),
        (
            "vllm",
            {"output_format": "compose"},
            {*NEVER, "--rpc-port"},
        ),
        (
            "vllm",
            {"strategy": "dp-ep"},
            {*NEVER, "--master-port", "--image", "--executor"},
        ),
        (
            "sglang",
            {},
            {"--rpc-port", "--ssh-port", "--image", "--gguf-path", "--amx", "--executor"},
        ),
        ("trtllm", {}, {"--rpc-port", "--master-port", "--gguf-path", "--amx", "--executor"}),
    ],
)
def test_what_no_command_takes_is_named(
    engine: str, options: dict[str, object], expected: set[str]
) -> None:
    assert unused(engine, **options) - {"--ib-device"} == expected  # type: ignore[arg-type]


def test_the_guide_takes_less() -> None:
    assert {"--context", "--interface", "--executor"} <= unused("vllm", profile="guide")
    assert {"--context"} <= unused("ktransformers", nodes=1, profile="guide")
    assert "--gguf-path" not in unused("ktransformers", nodes=1, profile="guide")
    assert {"--interface", "--master-port", "--executor"} <= unused("vllm", nodes=1)


def test_what_is_explained_otherwise_is_not_named_twice() -> None:
    assert "--served-model-name" not in unused("trtllm", engine_version="1.0.0rc2")
    assert "--served-model-name" not in unused("trtllm")
