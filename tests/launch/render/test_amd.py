"""Containers for AMD's GPUs: their devices and images, by the schemas of Compose and Kubernetes."""

from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from k2compat.launch.engines.profile import read_profile
from k2compat.launch.planning.formats import for_format
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.render import render_plan
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request
from tests.launch.render.cluster_support import unnamed
from tests.launch.render.test_schemas import KUBERNETES, objects_of_kubernetes, validator

CASES = [
    (engine, strategy)
    for engine in ("vllm", "sglang")
    for strategy in read_profile(engine).clusters["default"]
]


def documents(output_format: str, *, gpu: str | None = "mi300x", **rest: Any) -> Iterator[Any]:
    engine, strategy = rest.pop("engine", "vllm"), rest.pop("strategy", "tp")
    nodes = unnamed(engine, strategy)
    asked = Request(
        engine=engine,
        model=read_model("moonshotai/Kimi-K2-Instruct"),
        cluster=Cluster(nodes, gpu=gpu),
        strategy=strategy,
        **rest,
    )
    plan = plan_launch(for_format(asked, output_format))
    for file in render_plan(plan, output_format).values():
        assert "&id" not in file.text  # no anchors of YAML, for who reads it
        for document in yaml.safe_load_all(file.text):
            validator(output_format).validate(document)
            yield document


def images(**rest: Any) -> set[str]:
    services = [each["services"] for each in documents("compose", **rest)]
    return {service["image"] for each in services for service in each.values()}


def pods(**rest: Any) -> list[dict[str, Any]]:
    found = []
    for document in documents("lws", **rest):
        for each in objects_of_kubernetes(yaml.safe_dump(document)):
            assert kubernetes_validate.validate(each, KUBERNETES, strict=True) == KUBERNETES
            found += [each["spec"]] if each["kind"] == "Pod" else []
    return found


@pytest.mark.parametrize(("engine", "strategy"), CASES)
def test_compose_hands_in_amd_s_devices(engine: str, strategy: str) -> None:
    for document in documents("compose", engine=engine, strategy=strategy):
        for service in document["services"].values():
            assert {"/dev/kfd:/dev/kfd", "/dev/dri:/dev/dri"} <= set(service["devices"])
            assert service["group_add"] == ["video"]
            assert service["security_opt"] == ["seccomp=unconfined"]
            assert "SYS_PTRACE" in service["cap_add"]
            assert "deploy" not in service


@pytest.mark.sample(4)
@pytest.mark.parametrize(("engine", "strategy"), CASES)
def test_pods_ask_for_amd_s_gpus(engine: str, strategy: str) -> None:
    for pod in pods(engine=engine, strategy=strategy):
        (container,) = pod["containers"]
        assert container["resources"]["limits"] == {"amd.com/gpu": "8"}
        assert container["securityContext"]["capabilities"]["add"] == ["IPC_LOCK", "SYS_PTRACE"]
        assert pod["hostIPC"] is True


def test_infiniband_comes_beside_them() -> None:
    devices = {"ib_device": Argument.parse("mlx5_0")}
    for document in documents("compose", engine="sglang", strategy="pd", values=devices):
        for service in document["services"].values():
            if "/dev/infiniband:/dev/infiniband" in service["devices"]:
                assert len(service["devices"]) == 3
                assert service["cap_add"] == ["SYS_PTRACE", "IPC_LOCK"]
                return
    pytest.fail("no service has InfiniBand's devices")


@pytest.mark.parametrize("gpu", ["h200", "141", None])
def test_every_other_gpu_is_nvidia_s(gpu: str | None) -> None:
    (service, *_) = next(documents("compose", gpu=gpu))["services"].values()
    assert "devices" not in service
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
    for pod in pods(gpu=gpu):
        assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "8"}
        assert "hostIPC" not in pod


def test_vllm_s_image_is_the_one_for_rocm() -> None:
    assert images(engine_version="0.14.0") == {"vllm/vllm-openai-rocm:v0.14.0"}
    assert images(gpu="h200", engine_version="0.14.0") == {"vllm/vllm-openai:v0.14.0"}
    assert images(engine_version="0.13.0") == {"${IMAGE:?is not set}"}  # none was published
    own = {"image": Argument.parse("rocm/vllm:own")}
    assert images(engine_version="0.13.0", values=own) == {"rocm/vllm:own"}


@pytest.mark.parametrize("values", [{}, {"image": Argument.parse("rocm/vllm:own")}])
def test_slurm_s_job_has_them_with_an_image_or_without(values: dict[str, Argument]) -> None:
    asked = Request(
        engine="vllm",
        model=read_model("moonshotai/Kimi-K2-Instruct"),
        cluster=Cluster(unnamed("vllm", "tp"), gpu="mi300x"),
        values=values,
    )
    plan = plan_launch(for_format(asked, "slurm"))
    (job,) = render_plan(plan, "slurm").values()
    assert ("--container-image=rocm/vllm:own" in job.text) == bool(values)
    assert "gpus-per-node=8" in job.text
