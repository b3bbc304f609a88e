"""What validate prints does not change by accident, to the byte."""

import json

from tests.checkpoint import golden


def test_every_pinned_validation_prints_what_it_printed() -> None:
    pinned = json.loads(golden.PINNED.read_text(encoding="utf-8"))
    printed = {name: golden.digests(each) for name, each in golden.outputs(every=5)}
    assert list({each.name: each for each in golden.validations()}) == list(pinned)
    changed = [name for name, of in printed.items() if of != pinned[name]]
    assert not changed, "see python -m tests.checkpoint.golden DIR, before and after the change"
