"""Interfaces, routes and ports, asked of this machine's own kernel."""

import errno
import json
import os
import shutil
import socket
import subprocess
from typing import Any, NamedTuple

import psutil
import pytest

from k2compat.launch.preflight.interfaces import (
    interface_addresses,
    resolve,
    route_to,
    why_not_listen,
)


class snicaddr(NamedTuple):  # noqa: N801 - as psutil calls it
    """An address as psutil lists it."""

    family: int
    address: str
    netmask: None
    broadcast: None
    ptp: None


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


def test_a_link_local_address_has_no_zone_and_hardware_addresses_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {
        "eth0": [
            snicaddr(socket.AF_INET6, "fe80::1%eth0", None, None, None),
            snicaddr(socket.AF_PACKET, "02:fc:00:00:00:01", None, None, None),
        ],
        "ifb0": [],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    assert interface_addresses() == {"eth0": ("fe80::1",), "ifb0": ()}
