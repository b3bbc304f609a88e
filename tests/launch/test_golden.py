"""What launch, preflight and modernize print does not change by accident, to the byte."""

import json

from tests.launch import golden


def test_every_pinned_command_prints_what_it_printed() -> None:
    pinned = json.loads(golden.PINNED.read_text(encoding="utf-8"))
    printed = {command: golden.digest(text) for command, text in golden.outputs()}
    changed = [
        command for command in {**pinned, **printed} if printed.get(command) != pinned.get(command)
    ]
    assert not changed, "see python -m tests.launch.golden DIR, before and after the change"
