"""k2compat parse: turn a model's raw output into OpenAI's message or into events."""

import codecs
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from k2compat.cli.output import FOUND_ERRORS, OK, Outcome, Output
from k2compat.cli.paths import PATH
from k2compat.errors import RefusedError
from k2compat.files import explained_reading, read_input, reading
from k2compat.findings import Codes, Finding, Report, explanation
from k2compat.toolcalls import Event, Message, Problem, ReasoningMode, StreamParser, marker_ids
from k2compat.toolcalls.chat import assistant_message

# The largest read; a pipe gives the bytes that it has.
_CHUNK_BYTES = 64 * 1024

# The names of the events in JSON Lines.
_TYPES = {
    "ArgumentsDelta": "arguments_delta",
    "CallEnd": "call_end",
    "CallStart": "call_start",
    "Content": "content",
    "Problem": "problem",
    "Reasoning": "reasoning",
}

# The engine or the model is not the expected one: no later text can be right.
_OTHER_SETUP = ("markers-stripped", "other-format")

_codes = Codes("toolcalls")


@click.command("parse")
@click.argument("file", type=PATH, default="-")
@click.option("--tools", metavar="FILE", type=PATH, help="The request's tools, in OpenAI's form.")
@click.option(
    "--reasoning",
    type=click.Choice(["off", "tagged", "prefilled"]),
    default="off",
    show_default=True,
    help="Whether <think> is reasoning, and whether the text begins inside it.",
)
@click.option("--events", is_flag=True, help="Print events as JSON Lines while the text arrives.")
@click.option("--strict", is_flag=True, help="Exit with 1 if the text deviates from the format.")
@click.option(
    "--token-ids",
    is_flag=True,
    help='The input is JSON Lines of {"id": …, "text": …}; needs --tokenizer-config.',
)
@click.option(
    "--tokenizer-config",
    metavar="FILE",
    type=PATH,
    help="The model's tokenizer_config.json, for the ids of its markers.",
)
@click.pass_obj
def command(
    output: Output,
    file: Path,
    tools: Path | None,
    reasoning: ReasoningMode,
    events: bool,
    strict: bool,
    token_ids: bool,
    tokenizer_config: Path | None,
) -> Outcome:
    """Read the tool calls, the reasoning and the content in FILE, or in stdin.

    The answer is OpenAI's assistant message as one JSON document. Deviations from the
    format are printed on stderr.
    """
    if token_ids != (tokenizer_config is not None):
        raise click.UsageError("--token-ids and --tokenizer-config go together.")
    parser = StreamParser(
        tools=None if tools is None else _read_tools(tools),
        reasoning=reasoning,
        marker_ids=None if tokenizer_config is None else _read_marker_ids(tokenizer_config),
    )
    for event in _feed(parser, file, token_ids=token_ids):
        if events:
            output.print_json_line({"type": _TYPES[type(event).__name__], **asdict(event)})
    return _outcome(parser.message, events=events, strict=strict)


def _outcome(message: Message, *, events: bool, strict: bool) -> Outcome:
    report = Report(tuple(_finding(problem) for problem in message.problems))
    # The message is the whole answer, with and without --json: a schema or findings in it would
    # make it something else than OpenAI's document.
    document = None if events else assistant_message(message)
    failed = strict and bool(message.problems)
    return Outcome(document or {}, "", report, FOUND_ERRORS if failed else OK, bare=True)


def _finding(problem: Problem) -> Finding:
    explained = explanation(problem.code)
    message = explained.summary
    if problem.code in _OTHER_SETUP:
        message = f"{message} {explained.cure}"
    return _codes.finding(
        problem.code,
        f"character {problem.at}",
        message,
        actual=problem.text or None,
    )


def _feed(parser: StreamParser, file: Path, *, token_ids: bool) -> Iterator[Event]:
    with _opened(file) as descriptor:
        text = _text(file, descriptor)
        if token_ids:
            for token_id, token_text in _tokens(text):
                yield from parser.feed_token(token_id, token_text)
        else:
            for chunk in text:
                yield from parser.feed(chunk)
    yield from parser.finish()


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    if str(file) == "-":
        yield 0  # sys.stdin is None where the caller closed it
        return
    with explained_reading(file):
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _text(file: Path, descriptor: int) -> Iterator[str]:
    """The text as it arrives; a cut character is held until its rest arrives."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    with explained_reading(file):
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)


def _tokens(text: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_lines(text), 1):
        if not line.strip():
            continue
        try:
            token = json.loads(line)
            token_id, token_text = token["id"], token["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            token_id = token_text = None
        if type(token_id) is not int or not isinstance(token_text, str):
            raise RefusedError(
                "tokens-malformed",
                f'Line {number} is not a token of the form {{"id": 163597, "text": "…"}}.',
                hint="Write one JSON object a line, or leave --token-ids out for plain text.",
            )
        yield token_id, token_text


def _lines(text: Iterable[str]) -> Iterator[str]:
    rest = ""
    for chunk in text:
        *whole, rest = (rest + chunk).split("\n")
        yield from whole
    if rest:
        yield rest


def _read_tools(file: Path) -> list[dict[str, Any]]:
    tools = _read_json(file)
    if isinstance(tools, dict):  # a whole request
        tools = tools.get("tools")
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise RefusedError(
            "tools-malformed",
            f"{file} holds no list of tools.",
            hint='Write a JSON list as in a request: [{"type": "function", "function": {…}}]',
        )
    return tools


def _read_marker_ids(file: Path) -> dict[int, str]:
    config = _read_json(file)
    try:
        return marker_ids(config if isinstance(config, dict) else {})
    except ValueError as error:
        raise RefusedError(
            "tokenizer-config-foreign",
            f"{file} is not Kimi-K2's: it gives no id to <|tool_call_begin|>.",
            hint="Name the tokenizer_config.json in the model's folder.",
        ) from error


def _read_json(file: Path) -> Any:
    with explained_reading(file):
        content = read_input(file)
    try:
        with reading(file):
            return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            "json-malformed",
            f"{file} is not JSON: {error}.",
            hint="Correct it, and run the command again.",
        ) from error
