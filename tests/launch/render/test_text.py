"""A plan for a person: prerequisites, nodes, commands with their reasons."""

from msgspec.structs import replace

from k2compat.launch.render.text import as_text
from tests.launch.support import plan


def test_everything_a_person_needs_stands_in_its_order() -> None:
    text = as_text(plan("vllm", "/k2", nodes=("10.0.0.1", "10.0.0.2")))
    places = [
        text.index(part)
        for part in (
            "# vllm 0.33.0, strategy tp, 2 × 8 GPUs (TP16)",
            "# Before the commands",
            "#   pip install 'vllm",
            "# --- node0 (10.0.0.1) ---",
            "# serve-node0",
            "#   --nnodes: ",
            "vllm serve /k2 \\\n",
            "# --- node1 (10.0.0.2) ---",
        )
    ]
    assert places == sorted(places)


def test_a_plan_without_prerequisites_has_no_such_part() -> None:
    bare = replace(plan("vllm", "/k2"), prerequisites=())
    assert "Before" not in as_text(bare)


def test_files_and_what_is_made_once_are_told() -> None:
    found = plan("vllm", "/k2")
    (command,) = found.commands
    made = replace(command, files={"settings.yml": "a: 1\n"}, creates="ssh/key")
    text = as_text(replace(found, commands=(made,)))
    assert "# settings.yml:\n#   a: 1\n" in text
    assert "# makes ssh/key: once is enough" in text


def test_the_last_line_checks_what_clients_connect_to() -> None:
    nodes = plan("vllm", "/k2", nodes=("10.0.0.1", "10.0.0.2"))
    step = "# When it serves: k2compat check-endpoint"
    assert as_text(nodes).endswith(f"\n\n{step} http://10.0.0.1:8000/v1")
    groups = plan("sglang", "/k2", prefill=("a", "b"), decode=("c", "d"), strategy="pd")
    assert as_text(groups).endswith(f"{step} http://a:8000/v1")
    unnamed = plan("sglang", "/k2", values={"port": "$PORT"})
    assert as_text(unnamed).endswith(f'{step} http://127.0.0.1:"${{PORT}}"/v1')


def test_a_plan_that_listens_nowhere_names_no_check() -> None:
    found = plan("vllm", "/k2")
    silent = tuple(replace(command, ports=()) for command in found.commands)
    assert "check-endpoint" not in as_text(replace(found, commands=silent))
