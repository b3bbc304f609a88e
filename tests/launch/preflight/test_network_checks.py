"""How nodes find each other: each trap by its code, a sound node by none."""

import pytest

from k2compat.launch.preflight.facts import Route
from k2compat.launch.preflight.network_checks import check_network
from tests.launch.preflight.support import SOUND, codes, inspection, only

GLOO = "GLOO_SOCKET_IFNAME"
NCCL = "NCCL_SOCKET_IFNAME"
ALONE = ("10.0.0.1",)


def found(**options: object) -> list[str]:
    return codes(check_network(inspection(**options)))  # type: ignore[arg-type]


def test_a_sound_node() -> None:
    assert found() == []
    named = {GLOO: "bond0", NCCL: "bond0", "VLLM_HOST_IP": "10.0.0.1"}
    assert found(variables=named) == []
    assert found(environment=named) == []


class TestHostname:
    """Gloo listens on what the host name resolves to, unless it is given an interface."""

    @pytest.mark.parametrize("addresses", [("127.0.1.1",), ("127.0.0.1", "10.0.0.1"), ("::1",), ()])
    def test_on_loopback(self, addresses: tuple[str, ...]) -> None:
        finding = only(check_network(inspection(hostname_addresses=addresses)))
        assert finding.code == "hostname-on-loopback"
        assert finding.fix == "export GLOO_SOCKET_IFNAME=bond0"
        assert finding.expected == "10.0.0.1"

    @pytest.mark.parametrize("value", ["bond0", "$INTERFACE"])
    def test_an_interface_makes_it_harmless(self, value: str) -> None:
        assert found(hostname_addresses=("127.0.1.1",), variables={GLOO: value}) == []

    def test_so_does_being_alone(self) -> None:
        assert found(hostname_addresses=("127.0.1.1",), addresses=ALONE) == []

    def test_no_way_to_the_others_is_known(self) -> None:
        made = inspection(hostname_addresses=(), routes={"10.0.0.1": SOUND.routes["10.0.0.1"]})
        findings = {finding.code: finding for finding in check_network(made)}
        assert set(findings) == {"host-unreachable", "hostname-on-loopback"}
        assert findings["hostname-on-loopback"].fix == "export GLOO_SOCKET_IFNAME=INTERFACE"

    @pytest.mark.parametrize("address", ["fe80::1%bond0", "strange"])
    def test_other_addresses_are_not_loopback(self, address: str) -> None:
        assert found(hostname_addresses=(address,)) == []


class TestInterfaces:
    @pytest.mark.parametrize("value", ["^lo", "=bond0", "bond*", " ", "^docker,lo"])
    def test_patterns_are_nccls(self, value: str) -> None:
        finding = only(check_network(inspection(environment={GLOO: value})))
        assert finding.code == "gloo-interface-pattern"
        assert finding.expected == "bond0"
        assert finding.fix == "export GLOO_SOCKET_IFNAME=bond0"

    def test_a_pattern_where_no_way_is_known(self) -> None:
        made = inspection(addresses=ALONE, variables={GLOO: "^lo"})
        assert only(check_network(made)).expected == "an interface's name"

    @pytest.mark.parametrize(
        ("variable", "value", "code", "actual"),
        [
            (GLOO, "eth0", "interface-missing", "eth0"),
            (GLOO, "bond0,eth0", "interface-missing", "eth0"),
            (NCCL, "eth", "interface-missing", "eth"),
            (NCCL, "=bond", "interface-missing", "=bond"),
            (NCCL, "^lo,docker,bond", "interface-missing", "^lo,docker,bond"),
            (GLOO, "docker0", "interface-wrong", "docker0"),
            (GLOO, "bond1", "interface-wrong", "bond1"),
            (NCCL, "docker", "interface-wrong", "docker"),
            (NCCL, "^bond0", "interface-wrong", "^bond0"),
            (NCCL, "=bond1,docker0", "interface-wrong", "=bond1,docker0"),
            ("TP_SOCKET_IFNAME", "eth0", "interface-missing", "eth0"),
        ],
    )
    def test_missing_or_wrong(self, variable: str, value: str, code: str, actual: str) -> None:
        finding = only(check_network(inspection(variables={variable: value})))
        assert (finding.code, finding.where, finding.actual) == (code, variable, actual)

    @pytest.mark.parametrize(
        ("interface", "speeds", "fix"),
        [
            ("bond1", {}, "Give --nodes the addresses on bond1; this node's is 10.1.0.1."),
            ("bond1", {"bond0": 100, "bond1": 10}, f"export {GLOO}=bond0"),
            ("docker0", {}, f"export {GLOO}=bond0"),
            ("lo", {}, f"export {GLOO}=bond0"),
        ],
    )
    def test_the_fix_is_the_fast_network(
        self, interface: str, speeds: dict[str, int], fix: str
    ) -> None:
        made = inspection(variables={GLOO: interface}, speeds=speeds)
        assert only(check_network(made)).fix == fix

    @pytest.mark.parametrize(
        "value", ["bond", "=bond0", "^lo,docker", "^=lo", "bond0,bond1", "bond,"]
    )
    def test_nccl_takes_prefixes(self, value: str) -> None:
        assert found(variables={NCCL: value}) == []

    def test_several_names_are_gloos_too(self) -> None:
        assert found(variables={GLOO: "bond1,bond0"}) == []

    def test_the_plan_goes_before_the_node(self) -> None:
        assert found(environment={GLOO: "eth0"}, variables={GLOO: "bond0"}) == []

    def test_the_clusters_interface_counts_though_no_variable_is_set(self) -> None:
        finding = only(check_network(inspection(devices={"interface": "ib0"})))
        assert (finding.code, finding.where) == ("interface-missing", "--interface")
        assert found(devices={"interface": "bond0"}) == []
        assert found(devices={"interface": "$INTERFACE"}) == []

    def test_it_is_said_once(self) -> None:
        assert found(devices={"interface": "ib0"}, variables={GLOO: "ib0"}) == ["interface-missing"]

    def test_where_the_kernel_does_not_tell_nothing_is_judged(self) -> None:
        variables = {GLOO: "eth0", NCCL: "eth0", "VLLM_HOST_IP": "10.9.9.9"}
        assert found(interfaces={}, variables=variables, devices={"interface": "ib0"}) == []

    def test_without_other_nodes_no_interface_is_the_wrong_one(self) -> None:
        assert found(addresses=ALONE, variables={GLOO: "bond1"}) == []


class TestAddresses:
    @pytest.mark.parametrize("variable", ["VLLM_HOST_IP", "SGLANG_HOST_IP", "HOST_IP"])
    def test_the_engine_is_told_another_nodes(self, variable: str) -> None:
        finding = only(check_network(inspection(environment={variable: "10.0.0.2"})))
        assert (finding.code, finding.where) == ("host-ip-not-local", variable)
        assert finding.fix == f"export {variable}=10.0.0.1"

    @pytest.mark.parametrize(
        ("address", "expected"), [("10.0.0.1", []), ("10.0.0.2", ["host-ip-not-local"])]
    )
    def test_a_name_is_what_it_resolves_to(self, address: str, expected: list[str]) -> None:
        routes = {**SOUND.routes, "gpu-a": Route(address, "10.0.0.1", "bond0")}
        assert found(routes=routes, variables={"VLLM_HOST_IP": "gpu-a"}) == expected

    def test_the_same_on_a_node_alone(self) -> None:
        made = inspection(addresses=ALONE, variables={"VLLM_HOST_IP": "10.0.0.2"})
        assert only(check_network(made)).fix == "export VLLM_HOST_IP=ADDRESS"

    def test_the_plans_address_is_another_nodes(self) -> None:
        made = inspection(
            interfaces={"lo": ("127.0.0.1",), "bond0": ("10.0.0.2",)},
            hostname_addresses=("10.0.0.2",),
            routes={
                "10.0.0.1": Route("10.0.0.1", "10.0.0.2", "bond0"),
                "10.0.0.2": Route("10.0.0.2", "10.0.0.2", "bond0"),
            },
        )
        finding = only(check_network(made))
        assert (finding.code, finding.expected) == ("address-not-local", "10.0.0.2")

    def test_a_node_with_loopback_alone(self) -> None:
        made = inspection(
            addresses=ALONE,
            interfaces={"lo": ("127.0.0.1",)},
            routes={"10.0.0.1": Route("10.0.0.1", "127.0.0.1", "lo")},
        )
        assert only(check_network(made)).expected == "an address of this node"

    def test_no_way_to_another_node(self) -> None:
        made = inspection(routes={"10.0.0.1": SOUND.routes["10.0.0.1"]})
        finding = only(check_network(made))
        assert (finding.code, finding.where) == ("host-unreachable", "10.0.0.2")

    def test_a_host_that_is_not_known_yet_is_not_judged(self) -> None:
        assert found(addresses=("10.0.0.1", "$OTHER")) == []


class TestRay:
    HEAD = "ray start --head --node-ip-address 10.0.0.1"
    SERVE = "vllm serve x --distributed-executor-backend ray"

    @pytest.mark.parametrize("argv", [HEAD, SERVE])
    def test_ray_runs_with_the_plans_address(self, argv: str) -> None:
        assert codes(check_network(inspection(argv, ray_addresses=("10.0.0.1",)))) == []

    @pytest.mark.parametrize("argv", [HEAD, SERVE])
    def test_ray_took_another_interface(self, argv: str) -> None:
        finding = only(check_network(inspection(argv, ray_addresses=("172.17.0.1",))))
        assert (finding.code, finding.actual) == ("ray-address-differs", "172.17.0.1")
        assert finding.expected == "10.0.0.1"

    def test_vllm_looks_for_another_address_than_ray_has(self) -> None:
        made = inspection(self.HEAD, variables={"VLLM_HOST_IP": "10.1.0.1"})
        assert codes(check_network(made)) == ["ray-address-differs"]

    def test_ray_is_not_used(self) -> None:
        assert found(ray_addresses=("172.17.0.1",)) == []
