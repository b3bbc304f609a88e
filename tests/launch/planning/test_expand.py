"""From the entries of a profile to commands."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

from k2compat.errors import RefusedError
from k2compat.launch.engines.profile import Profile
from k2compat.launch.engines.profile_entries import CommandTemplate, FileTemplate, Situation
from k2compat.launch.memory.layout import Layout
from k2compat.launch.plan import Command, Plan
from k2compat.launch.planning.expand import NodeContext, compose
from k2compat.launch.render import render_plan
from k2compat.launch.render.document import as_document
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster, nodes_at

(NODE,) = nodes_at(["10.0.0.1"])
SITUATION = Situation("default", "tp", Version("1.0"), frozenset({"very_first_node"}))


def composed(*peers: str, port: str = "2233", **template: Any) -> tuple[Command, ...]:
    """The commands of a profile that holds one template, on one node."""
    profile = Profile(
        engine="trtllm",
        versions={},
        clusters={},
        strategies={},
        values={},
        rows={},
        commands=(CommandTemplate(id="serve", role="serve", **template),),
        findings=(),
        prerequisites=(),
        forbidden=(),
    )
    values = {"port": Argument.parse(port), "name": Argument.parse("<NAME>")}
    lists = {"peers": [Argument.parse(peer) for peer in peers]}
    return compose(profile, [NodeContext(NODE, SITUATION, values, lists)])


def script(*commands: Command) -> str:
    """The script of the node that runs these commands."""
    plan = Plan("trtllm", "1.0", "default", "tp", Cluster((NODE,)), {"": Layout(1)}, commands)
    return render_plan(plan, "sh")["node0.sh"].text


def test_entries_of_one_path_make_one_file_in_their_order() -> None:
    (command,) = composed(
        argv=("serve",),
        files=(
            FileTemplate(path="a.yml", yaml={"graphs": {"padding": True}}),
            FileTemplate(path="a.yml", yaml={"graphs": {"sizes": [1, 2]}, "log": True}),
            FileTemplate(path="a.yml", yaml={"never": 1}, when=("absent",)),
            FileTemplate(path="sshd_config", lines=("Port {port}",)),
            FileTemplate(path="sshd_config", lines=("PermitRootLogin yes",)),
        ),
    )
    assert yaml.safe_load(command.files["a.yml"]) == {
        "graphs": {"padding": True, "sizes": [1, 2]},
        "log": True,
    }
    assert list(yaml.safe_load(command.files["a.yml"])) == ["graphs", "log"]
    assert command.files["sshd_config"] == "Port 2233\nPermitRootLogin yes\n"


def test_a_placeholder_in_a_file_is_refused() -> None:
    with pytest.raises(RefusedError, match="SSH_PORT would stand in sshd_config") as refusal:
        composed(
            port="$SSH_PORT",
            argv=("sshd",),
            files=(FileTemplate(path="sshd_config", lines=("Port {port}",)),),
        )
    assert refusal.value.code == "placeholder-in-file"


def test_a_command_can_stand_once_for_each_item() -> None:
    template: dict[str, Any] = {"argv": ("ssh-copy-id", "root@{item}"), "each": "peers"}
    assert [command.id for command in composed("a", **template)] == ["serve-node0"]
    first, second = composed("a", "b", **template)
    assert (first.id, second.id) == ("serve-node0-0", "serve-node0-1")
    assert [str(word) for word in second.argv] == ["ssh-copy-id", "root@b"]


def test_what_runs_in_a_container_keeps_its_own_argv() -> None:
    (command,) = composed(
        argv=("trtllm-serve", "{port}"),
        inside="k2-{name}",
        stays=True,
        files=(FileTemplate(path="/etc/a.conf", lines=("a",)),),
    )
    assert [str(word) for word in command.argv] == ["trtllm-serve", "2233"]
    assert [placeholder.name for placeholder in command.inside.placeholders] == ["NAME"]  # type: ignore[union-attr]
    text = script(command)
    assert 'exec docker exec k2-"${NAME}" \\\n    trtllm-serve 2233' in text
    assert "docker exec -i k2-\"${NAME}\" tee /etc/a.conf > /dev/null <<'END_OF_FILE'" in text
    assert "\ncat >" not in text
    assert ': "${NAME:?is not set}"' in text
    plan = Plan("trtllm", "1.0", "default", "tp", Cluster((NODE,)), {}, (command,))
    assert as_document(plan)["commands"][0]["inside"] == "k2-<NAME>"


def test_what_makes_a_file_does_not_run_where_it_is() -> None:
    (command,) = composed(argv=("ssh-keygen", "-f", "ssh/key"), creates="ssh/key")
    assert "[ -e ssh/key ] || ssh-keygen" in script(command)


def test_a_file_with_an_absolute_path_is_written_where_it_says(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.conf"
    (command,) = composed(
        argv=("true",), files=(FileTemplate(path=str(path), lines=("$(id) {port}",)),)
    )
    subprocess.run(["bash", "-c", script(command)], check=True)
    assert path.read_text() == "$(id) 2233\n"
