"""Interfaces, routes and ports, asked of this machine's own kernel."""

import errno
import json
import os
import shutil
import socket
import struct
import subprocess
from typing import Any, Self

import pytest

from k2compat.launch.preflight.interfaces import (
    interface_addresses,
    resolve,
    route_to,
    why_not_listen,
)


@pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is the peer")
def test_the_same_as_ip_says() -> None:
    answer = subprocess.run(["ip", "-json", "addr"], capture_output=True, check=True).stdout
    expected = {
        entry["ifname"]: tuple(info["local"] for info in entry["addr_info"])
        for entry in json.loads(answer)
    }
    assert {name: sorted(found) for name, found in interface_addresses().items()} == {
        name: sorted(found) for name, found in expected.items()
    }


def test_the_way_to_this_machine_is_the_loopback() -> None:
    known = interface_addresses()
    way = route_to("127.0.0.1", known)
    assert way is not None
    assert (way.address, way.source) == ("127.0.0.1", "127.0.0.1")
    assert way.interface in known


@pytest.mark.parametrize("host", ["no-such-host.invalid", "", "a" * 300, "\ud800"])
def test_there_is_no_way_to_what_does_not_resolve(host: str) -> None:
    assert resolve(host) == () or host == ""
    assert host == "" or route_to(host, {}) is None


def test_an_address_without_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unroutable(socket.socket):
        def connect(self, address: Any) -> None:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    monkeypatch.setattr(socket, "socket", Unroutable)
    assert route_to("192.0.2.1", {}) is None
    assert route_to("::1", {}) is None


class TestPorts:
    def test_a_free_one(self) -> None:
        with socket.socket() as once:
            once.bind(("127.0.0.1", 0))
            port = once.getsockname()[1]
        assert why_not_listen(port) == ""

    @pytest.mark.parametrize("host", ["127.0.0.1", ""])
    def test_one_that_another_listens_on(self, host: str) -> None:
        with socket.create_server((host, 0)) as server:
            assert "in use" in why_not_listen(server.getsockname()[1])

    def test_a_number_that_is_none(self) -> None:
        assert why_not_listen(70000) == "no port number"


class Kernel:
    """Answers a netlink question with prepared bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def __call__(self, *_: object) -> "Kernel":
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def bind(self, _: object) -> None: ...

    def send(self, _: bytes) -> None: ...

    def recv(self, _: int) -> bytes:
        return self.answer


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def test_what_the_kernel_refuses_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = message(2, struct.pack("=i", -errno.EPERM))
    monkeypatch.setattr(socket, "socket", Kernel(refusal))
    with pytest.raises(PermissionError):
        interface_addresses()


def test_an_interface_that_came_meanwhile_and_a_tunnels_own_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a tunnel IFA_ADDRESS is the other end; other messages are passed over."""
    ends = struct.pack("=HH4s", 8, 1, b"\x0a\0\0\2") + struct.pack("=HH4s", 8, 2, b"\x0a\0\0\1")
    address = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, 999_999) + ends
    answer = message(16, b"") + message(20, address) + message(3, b"\0\0\0\0")
    monkeypatch.setattr(socket, "socket", Kernel(answer))
    assert interface_addresses()["#999999"] == ("10.0.0.1",)
