"""Every transcript gives what it says, however it arrives."""

import re
from pathlib import Path

import pytest

from tests.toolcalls.transcripts import (
    TOKEN_IDS,
    Transcript,
    at_markers,
    cut,
    read,
    read_tokens,
    transcripts,
)

PAGE = Path(__file__).parents[2] / "docs" / "format.md"
ROW_NAME = re.compile(r"row-(\d+[a-z]?)-")
ALL = transcripts()
BY_TEXT = [case for case in ALL if case.token_ids != "only"]
BY_TOKENS = [case for case in ALL if case.token_ids != "never"]


@pytest.mark.sample(5)
@pytest.mark.parametrize("case", BY_TEXT, ids=lambda case: case.name)
@pytest.mark.parametrize(
    "way", ["as written", "whole", "characters", "threes", "sevens", "markers"]
)
def test_transcript(case: Transcript, way: str) -> None:
    chunks = {
        "as written": case.pieces,
        "whole": [case.text],
        "characters": cut(case.text, 1),
        "threes": cut(case.text, 3),
        "sevens": cut(case.text, 7),
        "markers": list(at_markers(case.text)),
    }[way]
    reading = read(chunks, **case.options)
    assert reading.message == case.expected
    assert reading.events == read([case.text], **case.options).events


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("case", BY_TOKENS, ids=lambda case: case.name)
def test_transcript_by_token_ids(case: Transcript, size: int) -> None:
    reasoning = case.options.get("reasoning", "off") != "off"
    tokens = [
        token
        for text in at_markers(case.text, reasoning=reasoning)
        for token in ([text] if text in TOKEN_IDS else cut(text, size))
    ]
    assert read_tokens(tokens, **case.options).message == case.expected


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_problems_stand_where_they_say(case: Transcript) -> None:
    for problem in case.expected.problems:
        if not case.expected.tool_calls or problem.code != "arguments-not-object":
            # An argument end is removed from a header.
            written = case.text[problem.at :].replace("<|tool_call_argument_end|>", "")
            assert written.startswith(problem.text) or case.text.startswith(
                problem.text, problem.at
            )


def test_every_row_has_a_transcript() -> None:
    names = [case.name for case in ALL]
    covered = {f"{match[1].lstrip('0')}" for name in names if (match := ROW_NAME.match(name))}
    rows = set(re.findall(r"^\| (\d+[a-z]?) \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert rows
    assert covered == rows
