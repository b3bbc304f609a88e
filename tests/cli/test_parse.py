"""k2compat parse as it is typed: files, pipes that stay open, tokens, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from k2compat.cli.main import run
from k2compat.samples import checkpoint_files
from k2compat.toolcalls import parse
from k2compat.toolcalls.chat import assistant_message

CALL = (
    "天气<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0"
    '<|tool_call_argument_begin|>{"city": "北京"}<|tool_call_end|><|tool_calls_section_end|>'
)
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {}}}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("output.txt").write_text(CALL, encoding="utf-8")
    Path("tokenizer_config.json").write_bytes(checkpoint_files()["tokenizer_config.json"])


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_answer_is_the_message_itself(
    capfd: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert run(["parse", "output.txt", *options]) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out) == assistant_message(parse(CALL))
    assert shown.err == ""


def test_events_are_lines(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["parse", "output.txt", "--events"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [event["type"] for event in events] == [
        "content",
        "call_start",
        "arguments_delta",
        "call_end",
    ]
    assert events[1] == {
        "type": "call_start",
        "index": 0,
        "id": "functions.weather:0",
        "name": "weather",
    }


def test_problems_are_told_with_their_place(capfd: pytest.CaptureFixture[str]) -> None:
    Path("output.txt").write_text("a<|tool_call_begin|>functions.weather:0")
    assert run(["parse", "output.txt"]) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out)["content"] == "a"
    assert "warning: character 1: " in shown.err
    assert run(["parse", "output.txt", "--strict"]) == 1
    assert run(["parse", "output.txt", "--strict", "--events"]) == 1


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ('functions.weather:0{"city": "Rome"}', "skip_special_tokens=False"),
        ("<|open|>call<|sep|>weather<|close|>", "parser of Kimi-K3"),
    ],
)
def test_strict_refuses_output_of_another_setup_and_names_the_way_out(
    capfd: pytest.CaptureFixture[str], text: str, way_out: str
) -> None:
    Path("output.txt").write_text(text)
    assert run(["parse", "output.txt", "--strict"]) == 1
    assert way_out in " ".join(capfd.readouterr().err.split())


def test_strict_lets_what_keeps_to_the_format_pass() -> None:
    assert run(["parse", "output.txt", "--strict"]) == 0


def test_reasoning_is_told_apart(capfd: pytest.CaptureFixture[str]) -> None:
    Path("output.txt").write_text("I think.</think>Yes.")
    assert run(["parse", "output.txt", "--reasoning", "prefilled"]) == 0
    message = json.loads(capfd.readouterr().out)
    assert (message["reasoning_content"], message["content"]) == ("I think.", "Yes.")


@pytest.mark.parametrize("document", [[WEATHER], {"model": "kimi-k2", "tools": [WEATHER]}])
def test_tools_repair_ids(capfd: pytest.CaptureFixture[str], document: object) -> None:
    Path("tools.json").write_text(json.dumps(document))
    Path("output.txt").write_text(CALL.replace("functions.weather:0", "weather"))
    assert run(["parse", "output.txt", "--tools", "tools.json"]) == 0
    (call,) = json.loads(capfd.readouterr().out)["tool_calls"]
    assert call["id"] == "functions.weather:0"


def test_bytes_that_are_no_text_do_not_stop_it(capfd: pytest.CaptureFixture[str]) -> None:
    Path("output.txt").write_bytes("天".encode()[:2] + b"a")
    assert run(["parse", "output.txt"]) == 0
    assert json.loads(capfd.readouterr().out)["content"] == "\ufffda"


class TestTokens:
    """With token ids a marker's text is text and a marker's token is a marker."""

    OPTIONS = ("--token-ids", "--tokenizer-config", "tokenizer_config.json")

    def write(self, *lines: object) -> None:
        text = "\n\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        Path("output.txt").write_text(text)

    def test_ids_decide(self, capfd: pytest.CaptureFixture[str]) -> None:
        config = json.loads(Path("tokenizer_config.json").read_text("utf-8"))
        tokens = config["added_tokens_decoder"]
        ids = {token["content"]: int(number) for number, token in tokens.items()}
        self.write(
            {"id": 5, "text": "<|tool_call_end|>"},
            {"id": ids["<|tool_call_begin|>"], "text": ""},
            {"id": 6, "text": "functions.weather:0"},
            {"id": ids["<|tool_call_argument_begin|>"], "text": ""},
            {"id": 7, "text": "{}"},
            {"id": ids["<|tool_call_end|>"], "text": ""},
        )
        assert run(["parse", "output.txt", *self.OPTIONS]) == 0
        message = json.loads(capfd.readouterr().out)
        assert message["content"] == "<|tool_call_end|>"
        assert message["tool_calls"][0]["function"]["arguments"] == "{}"

    @pytest.mark.parametrize("line", ["x", "[]", "3", '{"id": "5", "text": ""}', '{"id": 5}'])
    def test_a_line_that_is_no_token_is_named(
        self, capfd: pytest.CaptureFixture[str], line: str
    ) -> None:
        self.write({"id": 5, "text": "a"}, line)
        assert run(["parse", "output.txt", *self.OPTIONS]) == 2
        assert "Line 3 is not a token" in capfd.readouterr().err

    def test_a_foreign_tokenizer_is_refused(self, capfd: pytest.CaptureFixture[str]) -> None:
        Path("tokenizer_config.json").write_text("[]")
        assert run(["parse", "output.txt", *self.OPTIONS]) == 2
        assert "[tokenizer-config-foreign]" in capfd.readouterr().err

    @pytest.mark.parametrize("options", [OPTIONS[:1], OPTIONS[1:]])
    def test_both_options_are_needed(self, options: tuple[str, ...]) -> None:
        assert run(["parse", "output.txt", *options]) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [("{", "json-malformed"), ("3", "tools-malformed"), ("[3]", "tools-malformed")],
)
def test_tools_that_are_none_are_refused(
    capfd: pytest.CaptureFixture[str], content: str, code: str
) -> None:
    Path("tools.json").write_text(content)
    assert run(["parse", "output.txt", "--tools", "tools.json", "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"]["code"] == code


@pytest.mark.parametrize(("name", "code"), [("nowhere", "not-found"), (".", "not-readable")])
def test_an_input_that_cannot_be_read_is_named(
    capfd: pytest.CaptureFixture[str], name: str, code: str
) -> None:
    assert run(["parse", name, "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"]["code"] == code


def test_a_closed_stdin_is_told() -> None:
    command = f"{sys.executable} -m k2compat parse <&-"
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "[not-readable]" in process.stderr


def test_a_pipe_that_stays_open_is_answered_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "k2compat", "parse", "--events"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for text in ("first", "天气"):
        process.stdin.write(text.encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"type": "content", "text": text}
    process.stdin.close()
    assert process.stdout.read() == b""
    process.stdout.close()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (["first", "天气"], ()),
        (['{"id": 5, "text": "first"}\n', '{"id": 5, "text": "天气"}\n'], TestTokens.OPTIONS),
    ],
)
def test_a_named_pipe_is_answered_as_it_is_written(
    lines: list[str], options: tuple[str, ...]
) -> None:
    os.mkfifo("output")
    command = [sys.executable, "-m", "k2compat", "parse", "output", "--events", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with Path("output").open("w", encoding="utf-8") as pipe:
            for line, text in zip(lines, ("first", "天气"), strict=True):
                pipe.write(line)
                pipe.flush()
                assert json.loads(process.stdout.readline()) == {"type": "content", "text": text}
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_reader_that_has_enough_may_leave() -> None:
    """The pipe behind is closed after one event, long before the text is over."""
    Path("output.txt").write_text(CALL * 20_000, encoding="utf-8")
    command = f"{sys.executable} -m k2compat parse output.txt --events | head -n 1"
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert json.loads(process.stdout)["text"] == "天气"
    assert process.stderr == ""
