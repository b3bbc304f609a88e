"""Whatever a person gives, each renderer hands it on as one argument, or it is refused."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from k2compat.errors import RefusedError
from k2compat.launch.plan import Plan
from k2compat.launch.planning.formats import for_format
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.render import render_plan
from k2compat.launch.render.document import as_document
from k2compat.launch.request.arguments import Argument, Placeholder, user_value
from k2compat.launch.request.cluster import Cluster, nodes_at
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request
from tests.launch.render.cluster_support import as_kubernetes_expands, at_once
from tests.support.amount import examples

_NASTY = [
    *(
        "$(touch owned)",
        "`touch owned`",
        "${HOME}",
        "$HOME",
        "$PORT:80",
        "$$",
        "\\",
        "'",
        '"',
        "!!",
    ),
    *(
        "; touch owned",
        "&& x",
        "|",
        ">",
        "<X>",
        "#",
        " ",
        "  ",
        "*",
        "~",
        "{model}",
        "{a,b}",
        "=",
        "%s",
    ),
    *(
        "-",
        "--port",
        ": ",
        "- a",
        "\n",
        "\t",
        "\x00",
        "\x1b[31m",
        "\u2028",
        "模型",
        "é",
        "a",
        "Z",
        "/",
    ),
    *("END_OF_NODE", "END_OF_FILE", "EOF", "&a", "*a", "!tag", "yes", "null", "0x1", "\\n", "\\'"),
]
HOSTILE = st.lists(st.sampled_from(_NASTY), min_size=1, max_size=5).map("".join)
FORMATS = ("text", "sh", "slurm", "lws", "compose", "ray")
SECRET = "a value $(touch owned) 'of' the shell's"


def planned(output_format: str, model: str, name: str, setting: str, image: str) -> Plan:
    """The plan for hostile values.

    Raises:
        RefusedError: One of them is refused.
    """
    values = {
        "served_model_name": user_value(name, "--served-model-name"),
        "image": user_value(image, "--image"),
    }
    request = Request(
        engine="vllm",
        model=read_model(model),
        cluster=Cluster(nodes_at(["2" if output_format == "ray" else "1"])),
        values=values,
        settings=(f"chat-template={setting}",),
    )
    return plan_launch(for_format(request, output_format))


def scripts(plan: Plan, output_format: str) -> list[str]:
    """What bash is given on the first node, once the format's own rules are undone."""
    files = {name: script.text for name, script in render_plan(plan, output_format).items()}
    if output_format == "slurm":
        found = re.findall(
            r"script <<'END_OF_NODE' \|\| true\n(.*?)\nEND_OF_NODE\n",
            files["launch.sbatch"],
            re.DOTALL,
        )
        return list(found)
    if output_format == "lws":
        leader = next(yaml.safe_load_all(files["launch-lws.yaml"]))
        template = leader["spec"]["leaderWorkerTemplate"]
        pod = template.get("leaderTemplate") or template["workerTemplate"]
        text = pod["spec"]["containers"][0]["command"][-1]
        return [as_kubernetes_expands(text, {"POD_IP": "10.0.0.1"})]
    if output_format == "compose":
        (document,) = (yaml.safe_load(text) for text in files.values())
        (service,) = document["services"].values()
        return [compose_reads(service["command"][0])]
    return [next(iter(files.values()))]


def compose_reads(text: str) -> str:
    """Compose's own interpolation: a variable in braces, and $$ for a dollar."""
    assert not re.search(r"(?<!\$)(?:\$\$)*\$(?![\$\{])", text), "an invalid interpolation"
    return text.replace("$$", "$")


def filled(word: Argument) -> str:
    return "".join(SECRET if isinstance(part, Placeholder) else part for part in word.parts)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vllm, which writes down its arguments, and a Ray that does nothing."""
    folder = tmp_path_factory.mktemp("programs")
    for name, body in (("vllm", 'printf \'%s\\0\' "$@" > "$RECORD"'), ("ray", ":")):
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


def called(script: str, plan: Plan, programs: Path) -> list[str]:
    """The arguments that the engine gets from a script."""
    record = programs / "record"
    record.unlink(missing_ok=True)
    names = {placeholder.name for placeholder in plan.placeholders}
    environment = {name: SECRET for name in names if name not in ("PATH", "RECORD")}
    environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "RECORD": str(record)}
    # A file, no pipe: what the script leaves running for a moment must not hold this up.
    with (programs / "stderr").open("w+b") as errors:
        done = subprocess.run(
            ["bash", "-c", at_once(script)],
            cwd=programs,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            check=False,
        )
    assert done.returncode == 0, (programs / "stderr").read_bytes()
    assert not (programs / "owned").exists()
    return record.read_bytes().decode().split("\0")[:-1]


@pytest.mark.parametrize("output_format", FORMATS)
@settings(max_examples=examples(6), deadline=None)
@given(model=HOSTILE, name=HOSTILE, setting=HOSTILE, image=HOSTILE)
def test_each_value_is_one_argument_or_refused(
    output_format: str, programs: Path, model: str, name: str, setting: str, image: str
) -> None:
    # A value that is refused would hide the others: each is tried with the rest harmless, too.
    for values in (
        (model, name, setting, image),
        (model, "k2", "t", "i"),
        ("/m", name, "t", "i"),
        ("/m", "k2", setting, "i"),
        ("/m", "k2", "t", image),
    ):
        try:
            plan = planned(output_format, *values)
            found = scripts(plan, output_format)
        except RefusedError:
            continue
        (command,) = (each for each in plan.commands if each.role == "serve")
        expected = [filled(word) for word in command.argv[1:]]
        for script in found:
            assert called(script, plan, programs) == expected


@settings(max_examples=examples(100), deadline=None)
@given(model=HOSTILE, name=HOSTILE, setting=HOSTILE, image=HOSTILE)
@example(model="/m", name="k2", setting="- a", image="i")
def test_json_and_the_image_keep_every_character(
    model: str, name: str, setting: str, image: str
) -> None:
    try:
        plan = planned("compose", model, name, setting, image)
    except RefusedError:
        return
    (command,) = json.loads(json.dumps(as_document(plan), ensure_ascii=False))["commands"]
    assert {model, name} <= set(command["argv"])
    # A value that begins with a dash is joined to its flag.
    assert {setting, f"--chat-template={setting}"} & set(command["argv"])
    (text,) = (script.text for script in render_plan(plan, "compose").values())
    (service,) = yaml.safe_load(text)["services"].values()
    if not user_value(image, "--image").placeholders:
        assert compose_reads(service["image"]) == image


@settings(max_examples=examples(300), deadline=None)
@given(HOSTILE)
def test_a_host_is_harmless_or_refused(text: str) -> None:
    try:
        (node,) = nodes_at([text])
    except RefusedError:
        return
    address = node.address
    assert address.placeholders or re.fullmatch(r"[A-Za-z0-9._:-]+", str(address))
