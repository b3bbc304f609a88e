"""Memory, limits, devices and the processor: each trap by its code."""

import pytest

from k2compat.launch.preflight.hardware_checks import check_system
from tests.launch.preflight.support import GIB, codes, inspection, only

MIB = 2**20
SGLANG = "python -m sglang.launch_server"


def found(*argvs: str, **options: object) -> list[str]:
    return codes(check_system(inspection(*argvs, **options)))  # type: ignore[arg-type]


def test_a_sound_node() -> None:
    assert found() == []


def test_fewer_gpus_than_the_plan_uses() -> None:
    finding = only(check_system(inspection(gpus=("NVIDIA H200",) * 7)))
    assert (finding.code, finding.fix) == ("gpus-missing", "--gpus-per-node 7")
    assert only(check_system(inspection(gpus=()))).fix == "nvidia-smi"


def test_hidden_gpus_do_not_count() -> None:
    made = inspection(environment={"CUDA_VISIBLE_DEVICES": "0,1,2,3"})
    assert only(check_system(made)).actual == "4"


def test_a_node_without_a_driver_has_no_gpus() -> None:
    finding = only(check_system(inspection(gpus=None)))
    assert (finding.code, finding.actual) == ("gpus-missing", "none")
    # A container may have the devices without the driver's list.
    assert found(gpus=None, gpu_devices=("nvidia0",)) == []


def test_dockers_shared_memory_is_too_small() -> None:
    finding = only(check_system(inspection(shared_memory=64 * MIB)))
    assert (finding.code, finding.actual) == ("shared-memory-small", "64 MiB")
    assert found(shared_memory=8 * GIB) == []
    assert found(shared_memory=None) == []


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [("nofile", 1024, "65535"), ("memlock", 65536, "unlimited")],
)
def test_limits(name: str, value: int, wanted: str) -> None:
    finding = only(check_system(inspection(limits={name: value})))
    assert (finding.code, finding.where) == ("limit-too-small", name)
    assert finding.expected == wanted


def test_locked_memory_matters_to_ib_between_nodes_alone() -> None:
    limits = {"memlock": 65536}
    assert found(limits=limits, ib_devices={}) == []
    assert found(limits=limits, addresses=("10.0.0.1",)) == []


def test_a_container_brings_its_own_limits() -> None:
    assert found("docker run x", engine="trtllm", limits={"nofile": 1024}) == []


class TestInfiniBand:
    @pytest.mark.parametrize(
        ("argv", "devices", "variables", "where"),
        [
            ("vllm serve x", {"ib_device": "mlx5_0,mlx5_9"}, {}, "--ib-device"),
            (
                f"{SGLANG} --disaggregation-ib-device mlx5_9",
                {},
                {},
                "--disaggregation-ib-device",
            ),
            ("vllm serve x", {}, {"NCCL_IB_HCA": "=mlx5_0:1,mlx5_9:1"}, "NCCL_IB_HCA"),
        ],
    )
    def test_a_device_that_is_absent(
        self, argv: str, devices: dict[str, str], variables: dict[str, str], where: str
    ) -> None:
        finding = only(check_system(inspection(argv, devices=devices, variables=variables)))
        assert (finding.code, finding.where) == ("ib-device-missing", where)
        assert (finding.actual, finding.expected) == ("mlx5_9", "mlx5_0, mlx5_1")

    def test_none_at_all(self) -> None:
        finding = only(check_system(inspection(devices={"ib_device": "mlx5_0"}, ib_devices={})))
        assert finding.expected == "a device in /sys/class/infiniband"

    @pytest.mark.parametrize("state", ["DOWN", ""])
    def test_a_device_without_a_link(self, state: str) -> None:
        made = inspection(devices={"ib_device": "mlx5_0"}, ib_devices={"mlx5_0": state})
        assert only(check_system(made)).code == "ib-device-inactive"

    def test_placeholders_and_prefixes_are_not_looked_up(self) -> None:
        assert (
            found(
                f"{SGLANG} --disaggregation-ib-device $IB_DEVICE",
                devices={"ib_device": "$IB_DEVICE"},
                variables={"NCCL_IB_HCA": "mlx5"},
            )
            == []
        )


class TestAmx:
    OLD = "python server/main.py --optimize_config_path rules/serve-amx.yaml"
    NEW = f"{SGLANG} --kt-weight-path /w"

    @pytest.mark.parametrize("argv", [OLD, NEW, f"{NEW} --kt-method AMXINT8"])
    def test_the_processor_has_none(self, argv: str) -> None:
        without = frozenset({"avx512f", "amx_tile"})
        finding = only(check_system(inspection(argv, engine="ktransformers", cpu_flags=without)))
        assert (finding.code, finding.actual) == ("amx-missing", "without amx_int8, amx_bf16")
        assert found(argv, engine="ktransformers") == []

    @pytest.mark.parametrize(
        "argv",
        [f"{NEW} --kt-method LLAMAFILE", "python server/main.py", "vllm serve /models/amx"],
    )
    def test_it_is_not_needed(self, argv: str) -> None:
        assert found(argv, engine="ktransformers", cpu_flags=frozenset()) == []
