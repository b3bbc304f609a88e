"""Ports: what listens where by default, and what is in its way."""

import pytest
from msgspec.structs import replace

from k2compat.launch.plan import Port
from k2compat.launch.preflight.checks import check_port_clashes, check_ports_free
from k2compat.launch.preflight.inspection import listening, question_of
from k2compat.launch.request.arguments import Argument
from tests.launch.preflight.support import codes, inspection, only, plan_of

SERVER = "python -m sglang.launch_server"
ROUTER = "python -m sglang_router.launch_router --pd-disaggregation"
OLD_BALANCER = "python -m sglang.srt.disaggregation.launch_lb"


@pytest.mark.parametrize(
    ("argv", "ports"),
    [
        ("vllm serve x", {8000}),
        ("vllm serve x --port 9000", {9000}),
        ("vllm serve x --port=9000", {9000}),
        ("vllm serve x --port 1 --port 9000", {9000}),
        ("vllm serve x --port $PORT", set()),
        ("vllm serve x --headless", set()),
        (SERVER, {30000}),
        (f"{SERVER} --disaggregation-mode prefill", {30000, 8998}),
        (f"{SERVER} --disaggregation-mode decode", {30000}),
        (f"{SERVER} --disaggregation-mode=prefill --disaggregation-bootstrap-port 9", {30000, 9}),
        (ROUTER, {30000, 29000}),
        (f"{ROUTER} --port 8000 --prometheus-port 9090", {8000, 9090}),
        (OLD_BALANCER, {8000}),
        ("trtllm-serve x", {8000}),
        ("ray start --head", {6379, 8265, 10001}),
        ("ray start --address 10.0.0.1:6379", set()),
        ("sshd -p 2233", set()),
    ],
)
def test_ports_that_a_program_listens_on(argv: str, ports: set[int]) -> None:
    plan = plan_of(argv)
    assert {port for _, port, _ in listening(plan.commands)} == ports
    assert set(question_of(plan, plan.nodes[0]).ports) == ports


def test_ports_that_the_plan_names_are_listened_on_too() -> None:
    plan = plan_of("vllm serve x")
    named = (Port("http", Argument.literal(8000)), Port("rpc", Argument.literal(13345)))
    opened = (*named, Port("open", Argument.parse("$PORT")))
    commands = (replace(plan.commands[0], ports=opened),)
    found = {port: name for _, port, name in listening(commands)}
    assert found == {8000: "http", 13345: "rpc"}


class TestClashes:
    @pytest.mark.parametrize(
        ("first", "second", "port"),
        [
            (SERVER, ROUTER, "30000"),
            (f"{SERVER} --port 8000", OLD_BALANCER, "8000"),
            ("vllm serve x", "trtllm-serve x", "8000"),
            (f"{SERVER} --disaggregation-mode prefill", "vllm serve x --port 8998", "8998"),
            ("ray start --head", "vllm serve x --port 6379", "6379"),
        ],
    )
    def test_defaults_that_meet(self, first: str, second: str, port: str) -> None:
        finding = only(check_port_clashes(plan_of(first, second)))
        assert (finding.code, finding.actual, finding.count) == ("port-clash", port, 2)

    def test_other_ports_do_not(self) -> None:
        assert codes(check_port_clashes(plan_of(SERVER, f"{ROUTER} --port 8000"))) == []

    @pytest.mark.parametrize("port", ["0", "65536", "70000"])
    def test_numbers_that_are_no_ports(self, port: str) -> None:
        assert codes(check_port_clashes(plan_of(f"vllm serve x --port {port}"))) == ["port-invalid"]


class TestTaken:
    def test_free_ports(self) -> None:
        assert codes(check_ports_free(inspection())) == []

    def test_a_port_that_is_taken_names_who_wants_it(self) -> None:
        finding = only(check_ports_free(inspection(ports={8000: "Address already in use"})))
        assert finding.code == "port-taken"
        assert finding.expected == "free for command0 (http)"
        assert finding.fix == "ss -ltnp 'sport = :8000'"

    def test_a_number_that_is_no_port_is_said_elsewhere(self) -> None:
        made = inspection("vllm serve x --port 70000", ports={70000: "no port number"})
        assert codes(check_ports_free(made)) == []
