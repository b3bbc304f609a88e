"""Nodes from options and from a TOML file."""

import os
from pathlib import Path

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import host_port, nodes_at, read_cluster, with_devices


def cluster_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "集群.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nodes_are_named_and_ranked_in_their_order() -> None:
    first, second = nodes_at(["10.0.0.1", "gpu-b.local"])
    assert (first.name, str(first.rank), first.is_first) == ("node0", "0", True)
    assert (second.name, str(second.address), second.is_first) == ("node1", "gpu-b.local", False)
    assert nodes_at(["$A"], "prefill")[0].name == "prefill0"


def test_a_number_stands_for_nodes_without_addresses() -> None:
    assert [str(node.address) for node in nodes_at(["2"])] == ["$NODE0", "$NODE1"]
    assert str(nodes_at(["12"], "decode")[11].address) == "$DECODE_NODE11"
    for count in ("0", "5000", "9" * 40):
        with pytest.raises(RefusedError, match="no number of nodes"):
            nodes_at([count])


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "-x",
        "a b",
        "a;b",
        "$(id)",
        "$A/x",
        "a'b",
        'a"b',
        "a\nb",
        "-",
        "a-",
        "fe80::1%eth0",
        "10.0.0.256",
    ],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(RefusedError) as caught:
        nodes_at(["10.0.0.1", host])
    assert caught.value.code == "host-malformed"


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("root@gpu-a", "Write the host alone: gpu-a"),
        ("10.0.0.2:22", "Write the host alone: 10.0.0.2"),
        ("[fd00::1]", "Write the host alone: fd00::1"),
        ("a b", "Put commas between hosts: --nodes a,b"),
        ("a;b", "For example --nodes 10.0.0.1,10.0.0.2"),
    ],
)
def test_what_was_meant_is_told(host: str, hint: str) -> None:
    with pytest.raises(RefusedError) as caught:
        nodes_at([host])
    assert caught.value.hint == hint


def test_blanks_around_commas_are_no_part_of_a_host() -> None:
    assert [str(node.address) for node in nodes_at(["a", " b ", "c"])] == ["a", "b", "c"]


def test_a_host_named_twice_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        nodes_at(["10.0.0.1", "10.0.0.1"])
    assert caught.value.code == "host-twice"


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(RefusedError, match="no number of nodes"):
        nodes_at([f"h{number}" for number in range(5000)])


def test_an_ipv6_address_stands_in_brackets_before_a_port() -> None:
    assert str(host_port(Argument.literal("fd00::1"), 80)) == "[fd00::1]:80"
    assert str(host_port(Argument.parse("$A"), Argument.literal(80))) == "$A:80"


def test_devices_of_a_node_go_before_those_of_all() -> None:
    (node,) = with_devices(nodes_at(["a"]), "eth0", None)
    assert str(node.interface) == "eth0"
    assert node.ib_device is None
    (again,) = with_devices([node], "eth1", "mlx5_0,mlx5_1")
    assert (str(again.interface), str(again.ib_device)) == ("eth0", "mlx5_0,mlx5_1")


@pytest.mark.parametrize("name", ["eth0;id", "-x", "a b", "$(id)"])
def test_what_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        with_devices(nodes_at(["a"]), name, None)
    assert caught.value.code == "device-malformed"


def test_a_cluster_file_says_it_all(tmp_path: Path) -> None:
    cluster = read_cluster(
        cluster_file(
            tmp_path,
            """
            gpu = "h200"
            gpus_per_node = 4
            interface = "bond0"
            ib_device = ["mlx5_0", "mlx5_1"]
            [[nodes]]
            address = "10.0.0.9"
            role = "decode"
            [[nodes]]
            name = "gpu-a"
            address = "10.0.0.1"
            role = "prefill"
            interface = "eth0"
            ib_device = "mlx5_2"
            """,
        )
    )
    assert (cluster.gpu, cluster.gpus_per_node, cluster.groups) == (
        "h200",
        4,
        ("prefill", "decode"),
    )
    prefill, decode = cluster.nodes
    assert (prefill.name, str(prefill.interface), str(prefill.ib_device)) == (
        "gpu-a",
        "eth0",
        "mlx5_2",
    )
    assert (decode.name, str(decode.interface)) == ("decode0", "bond0")
    assert str(decode.ib_device) == "mlx5_0,mlx5_1"
    assert (str(cluster.first("decode")), cluster.size("decode")) == ("10.0.0.9", 1)


def test_a_cluster_file_may_have_several_groups_of_a_role(tmp_path: Path) -> None:
    places = [("d", "decode", 0), ("b", "prefill", 1), ("a", "prefill", 0), ("c", "prefill", 1)]
    nodes = [
        f"[[nodes]]\naddress = {address!r}\nrole = {role!r}\ngroup = {number}\n"
        for address, role, number in places
    ]
    cluster = read_cluster(cluster_file(tmp_path, "".join(nodes)))
    assert cluster.sizes == {"prefill-0": 1, "prefill-1": 2, "decode": 1}
    assert [node.name for node in cluster.nodes] == [
        *("prefill-0-0", "prefill-1-0", "prefill-1-1", "decode0"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[[nodes]]\naddress = 'a'\ngroup = 1",
        "[[nodes]]\naddress = 'a'\nrole = 'decode'\ngroup = -1",
        "[[nodes]]\naddress = 'a'\nrole = 'decode'\ngroup = true",
        "= nonsense",
        "gpu = 'h200'",
        "nodes = 3",
        "nodes = []\nhost = 1",
        "[[nodes]]\nname = 'a'",
        "[[nodes]]\naddress = 3",
        "[[nodes]]\naddress = 'a'\nrole = 'draft'",
        "[[nodes]]\naddress = 'a'\nport = 1",
        "[[nodes]]\naddress = 'a'\nname = '../x'",
        "gpus_per_node = 0\n[[nodes]]\naddress = 'a'",
        "gpus_per_node = true\n[[nodes]]\naddress = 'a'",
        "gpu = [1]\n[[nodes]]\naddress = 'a'",
        "ib_device = 3\n[[nodes]]\naddress = 'a'",
        "[[nodes]]\naddress = 'a'\nname='x'\n[[nodes]]\naddress = 'b'\nname='x'",
    ],
)
def test_a_malformed_file_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_cluster(cluster_file(tmp_path, text))
    assert caught.value.code == "cluster-file-malformed"
    assert "集群.toml" in caught.value.message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[[nodes]]\naddress = 'a'\n[[nodes]]\naddress = 3", "$.nodes[1].address"),
        ("gpus_per_node = 2000\n[[nodes]]\naddress = 'a'", "$.gpus_per_node"),
        ("[[nodes]]\naddress = 'a'\nib_device = [3]", "$.nodes[0].ib_device[0]"),
        ("nodes = [3]", "$.nodes[0]"),
    ],
)
def test_the_message_names_the_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_cluster(cluster_file(tmp_path, text))
    assert place in caught.value.message


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        read_cluster(tmp_path / "absent.toml")
    assert caught.value.code == "not-found"


def test_a_mistyped_key_gets_the_nearest_and_a_byte_order_mark_does_not_matter(
    tmp_path: Path,
) -> None:
    with pytest.raises(RefusedError, match=r"'gpu_per_node'.*mean gpus_per_node\?$"):
        read_cluster(cluster_file(tmp_path, "gpu_per_node = 8\n[[nodes]]\naddress = 'a'"))
    assert read_cluster(cluster_file(tmp_path, "\ufeff[[nodes]]\naddress = 'a'")).nodes


def test_a_cluster_may_come_through_a_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"[[nodes]]\naddress = 'a'")
    os.close(writer)
    try:
        (node,) = read_cluster(Path(f"/dev/fd/{reader}")).nodes
    finally:
        os.close(reader)
    assert str(node.address) == "a"


def test_gib_may_be_a_number(tmp_path: Path) -> None:
    text = "gpu = 141\n[[nodes]]\naddress = 'a'"
    assert read_cluster(cluster_file(tmp_path, text)).gpu == "141"
