"""The demo does what it shows."""

import json
from pathlib import Path

import pytest

from k2compat.cli import gateway_demo
from k2compat.cli.commands import demo
from k2compat.cli.main import run
from k2compat.samples import llama_server
from k2compat.samples.talking import GGUF_FILE
from tests.support.amount import only_in_test_all
from tests.support.talking_models import talking_model


@pytest.fixture
def without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making the models takes a second."""
    gguf = talking_model("gguf") / GGUF_FILE
    monkeypatch.setattr(demo, "make_models", lambda folder: gguf)


@pytest.fixture
def without_gateway(monkeypatch: pytest.MonkeyPatch, without_models: None) -> None:
    """The gateway's part goes well at once: it starts three servers."""
    sound = demo.Done(gateway_demo.WHY, "k2compat serve", 0, 0, "", "")
    monkeypatch.setattr(demo, "show_gateway", lambda model, gguf: sound)


def test_its_document_holds_each_step(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == "k2compat.demo/1"
    assert document["folder"] is None
    *steps, gateway = document["steps"]
    assert [step["exit_code"] for step in steps] == [step.exit_code for step in demo.STEPS]
    without, through = (line.partition(": ")[2] for line in gateway["stdout"].splitlines())
    assert "<|tool_call_begin|>" in json.loads(without)["content"]
    (call,) = json.loads(through)["tool_calls"]
    assert json.loads(through)["content"]  # the model's words before the call are no thought
    assert call["id"] == "functions.get_weather:0"
    installed = llama_server.llama_cpp_is_installed()
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris" if installed else "北京"}
    change = next(step for step in document["steps"] if step["command"].endswith("deepseek_v3"))
    assert "nothing to do" not in change["stdout"]


@pytest.mark.usefixtures("without_gateway")
def test_a_step_that_fails_fails_the_demo(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (demo.Step("A folder that is not there.", ("stage-gguf", "nowhere", "nowhere")),)
    monkeypatch.setattr(demo, "STEPS", steps)
    assert run(["demo"]) == 1
    shown = capfd.readouterr().out
    assert "exit status 2, expected 0" in shown
    assert "The demo failed" in shown


@only_in_test_all  # tests/docs/test_commands.py works in the folder that README's demo keeps
def test_every_command_is_shown_and_the_folder_stays_when_asked(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "k2 demo"
    assert run(["demo", "--keep", str(folder)]) == 0
    shown = capfd.readouterr().out
    assert shown.startswith(f"In {folder}: ")
    for step in demo.STEPS:
        assert f"# {step.why}" in shown
    assert f"# {gateway_demo.WHY}" in shown
    assert "All of it went as it should.\n" in shown
    assert shown.endswith(f"cd '{folder}'\n")
    assert {path.name for path in folder.iterdir()} == {
        demo.MODEL,
        demo.GGUFS,
        demo.DAMAGED,
        demo.OUTPUTS,
    }
    assert run(["validate", str(folder / demo.MODEL)]) == 0


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_a_folder_in_use_is_refused(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "place"
    if kind == "folder":
        (place / "mine").mkdir(parents=True)
    elif kind == "file":
        place.touch()
    else:
        place.symlink_to(tmp_path / "nothing")
    before = sorted(tmp_path.rglob("*"))
    assert run(["demo", "--keep", str(place)]) == 2
    assert "[folder-not-empty]" in capfd.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("without_models")
def test_a_gateway_that_cannot_run_fails_the_demo(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "STEPS", ())
    monkeypatch.setattr(gateway_demo, "ARGUMENTS", ("serve", "--upstream", "nowhere"))
    assert run(["demo"]) == 1
    shown = capfd.readouterr().out
    assert "--upstream from the command line must be a URL" in shown
    assert "exit status 2, expected 0" in shown


def test_without_llama_cpp_a_stand_in_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_server, "llama_cpp_is_installed", lambda: False)
    done = demo.show_gateway(talking_model(tokenizer="tiktoken"), Path("no.gguf"))
    assert done.exit_code == done.expected_exit_code == 0
    without, through = (line.partition(": ")[2] for line in done.stdout.splitlines())
    assert "<|tool_call_begin|>" in json.loads(without)["content"]
    (call,) = json.loads(through)["tool_calls"]
    assert json.loads(through)["content"]
    assert json.loads(call["function"]["arguments"]) == {"city": "北京"}


@pytest.mark.usefixtures("without_gateway")
def test_quiet_says_the_answer_alone(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "STEPS", demo.STEPS[-1:])
    assert run(["demo", "--quiet"]) == 0
    assert capfd.readouterr() == ("All of it went as it should.\n", "")


@pytest.mark.usefixtures("without_gateway")
def test_quiet_shows_a_step_that_failed(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [demo.Step("Fails.", ("explain", "no-such-code")), demo.STEPS[-1]]
    monkeypatch.setattr(demo, "STEPS", steps)
    assert run(["demo", "--quiet"]) == 1
    shown = capfd.readouterr().out
    assert "There is no code 'no-such-code'." in shown
    assert "patch-tool-call-ids" not in shown
    assert shown.endswith("exit status 2, expected 0\nThe demo failed: see above.\n")
