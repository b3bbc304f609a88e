"""What launch, preflight and modernize print does not change by accident, to the byte."""

import json

from tests.launch import golden


def test_every_pinned_command_prints_what_it_printed() -> None:
    pinned = json.loads(golden.PINNED.read_text(encoding="utf-8"))
    printed = {command: golden.digest(text) for command, text in golden.outputs(every=5)}
    assert list({" ".join(arguments): 0 for arguments in golden.commands()}) == list(pinned)
    changed = [command for command, digest in printed.items() if digest != pinned[command]]
    assert not changed, "see python -m tests.launch.golden DIR, before and after the change"
