"""Ports between nodes, on loopback: one listens, one connects."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from k2compat.findings import Finding
from k2compat.launch.preflight.connections import listen_on, ports_here, probe_others
from k2compat.launch.preflight.inspection import Inspection, question_of
from k2compat.launch.preflight.read_node import read_node
from tests.launch.preflight.support import codes, inspection
from tests.launch.support import plan


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def seen_from_the_second_node(port: int) -> Inspection:
    made = plan("vllm", "/k2", nodes=("127.0.0.1", "127.0.0.2"), values={"port": str(port)})
    node = made.cluster.nodes[1]
    return Inspection(made, node, read_node(question_of(made, node)))


def probed(port: int) -> list[Finding]:
    """What the second node finds, which tries the port where the nodes meet, too."""
    return list(probe_others(seen_from_the_second_node(port)))


@contextmanager
def listening(port: int) -> Iterator[None]:
    ready = threading.Event()
    thread = threading.Thread(target=listen_on, args=((port,), 2.0, ready.set))
    thread.start()
    assert ready.wait(10)
    yield
    thread.join(10)


def test_a_port_on_which_the_other_node_listens_is_open() -> None:
    port = free_port()
    with listening(port):
        assert f"node0:{port}" not in [finding.where for finding in probed(port)]


def test_a_refusal_leaves_open_whether_a_firewall_refuses() -> None:
    port = free_port()
    (finding,) = (each for each in probed(port) if each.where == f"node0:{port}")
    assert finding.code == "port-silent"
    assert "--listen" in str(finding.fix)


def test_an_address_that_does_not_answer_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    def dropped(address: object, timeout: float) -> socket.socket:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", dropped)
    finding = probed(8000)[0]
    assert (finding.code, finding.where) == ("port-blocked", "node0:8000")
    assert "timed out" in finding.message


def test_nodes_whose_addresses_are_open_are_not_tried() -> None:
    made = inspection("vllm serve x", addresses=("10.0.0.1", "$OTHER"))
    assert codes(probe_others(made)) == []


def test_only_free_ports_are_listened_on() -> None:
    made = inspection("vllm serve x --port 8000", ports={8000: "Address already in use"})
    assert ports_here(made) == ()
    assert ports_here(inspection("vllm serve x --port 8000")) == (8000,)
