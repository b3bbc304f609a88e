"""The scripts do what the plan says: stand-ins record how they were called."""

import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from k2compat.launch.engines.profile import PROFILES, read_profile
from k2compat.launch.flags import ENGINES
from k2compat.launch.plan import Command, Plan
from k2compat.launch.render import render_plan
from tests.launch.render.cluster_support import at_once
from tests.launch.render.hostile import HOSTILE
from tests.launch.render.stand_ins import StandIns
from tests.launch.support import argv, environment, plan

HOME = "/home/of a user"

CASES = [
    (engine, profile, strategy)
    for engine in ENGINES
    for profile in PROFILES
    for strategy in read_profile(engine).clusters.get(profile, {})
]


def write(folder: Path, found: Plan) -> dict[str, Path]:
    """The plan's scripts, on disk."""
    folder.mkdir(parents=True)
    paths = {}
    for name, script in render_plan(found, "sh").items():
        paths[name] = folder / name
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_text(script.text, encoding="utf-8")
        if script.executable:
            paths[name].chmod(0o755)
    return paths


def wanted(command: Command, values: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """How a command must be called where the placeholders have these values."""

    def filled(text: str) -> str:
        for name, value in values.items():
            for spelling in (f"${{{name}}}", f"<{name}>", f"${name}"):
                text = text.replace(spelling, value)
        return f"{HOME}{text[1:]}" if text.startswith("~/") else text

    variables = {name: filled(value) for name, value in environment(command).items()}
    if command.inside is not None:
        variables["INSIDE"] = filled(str(command.inside))
    return [filled(word) for word in argv(command)], variables


@pytest.mark.sample(3)
@pytest.mark.parametrize(("engine", "profile", "strategy"), CASES)
def test_the_scripts_call_what_the_plan_says(
    engine: str, profile: str, strategy: str, tmp_path: Path
) -> None:
    found = plan(engine, HOSTILE, profile=profile, strategy=strategy)
    values = {p.name: f"value of {p.name}" for p in found.placeholders if p.name != "HOME"}
    values["PWD"] = str(tmp_path / "out")
    stand_ins = StandIns(tmp_path, (str(command.argv[0]) for command in found.commands))
    scripts = write(tmp_path / "out", found)
    for node in found.nodes:
        of_node = [command for command in found.commands if command.node == node]
        peers = len(of_node) if sum(command.stays for command in of_node) > 1 else 0
        values_there = {**values, "HOME": HOME}
        program = scripts[f"{node.name}.sh"]
        program.write_text(at_once(program.read_text()))
        done, records = stand_ins.run(program, values_there, peers=peers)
        assert done.returncode == 0, done.stderr
        called = sorted((record["argv"], record["env"]) for record in records)
        commands = [wanted(command, values) for command in of_node]
        assert [words for words, _ in called] == sorted(words for words, _ in commands)
        for (_, given), (_, variables) in zip(called, sorted(commands), strict=True):
            assert variables.items() <= given.items()


@pytest.mark.sample(3)
@pytest.mark.parametrize(("engine", "profile", "strategy"), CASES)
def test_shellcheck_and_bash_find_nothing(
    engine: str, profile: str, strategy: str, tmp_path: Path
) -> None:
    scripts = write(tmp_path / "out", plan(engine, HOSTILE, profile=profile, strategy=strategy))
    programs = [str(path) for name, path in scripts.items() if name.endswith(".sh")]
    for program in programs:
        subprocess.run(["bash", "-n", program], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", *programs], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_a_value_that_is_not_set_stops_the_script(tmp_path: Path) -> None:
    found = plan("vllm", "$MODEL_PATH")
    stand_ins = StandIns(tmp_path, ["vllm"])
    done, records = stand_ins.run(write(tmp_path / "out", found)["node0.sh"], {})
    assert done.returncode == 1
    assert "MODEL_PATH: is not set" in done.stderr
    assert records == []


def test_the_script_ends_as_the_engine_does(tmp_path: Path) -> None:
    stand_ins = StandIns(tmp_path, ["vllm"])
    script = write(tmp_path / "out", plan("vllm"))["node0.sh"]
    done, _ = stand_ins.run(script, {"STAND_IN_STATUS": "7"})
    assert done.returncode == 7


def test_a_file_is_written_where_its_path_says_and_as_it_is(tmp_path: Path) -> None:
    found = plan("vllm", "/k2")
    path, text = tmp_path / "a b" / "settings.yml", "price: $HOME `id` $(id)\n"
    (command,) = found.commands
    found = replace(found, commands=(replace(command, files={str(path): text}),))
    done, _ = StandIns(tmp_path / "programs", ["vllm"]).run(
        write(tmp_path / "out", found)["node0.sh"], {}
    )
    assert done.returncode == 0, done.stderr
    assert path.read_text() == text
