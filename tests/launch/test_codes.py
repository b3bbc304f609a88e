"""Every code that the room explains has what a person needs."""

from k2compat.findings import catalogue

EXPLAINED = {code: entry for code, entry in catalogue().items() if entry.room == "launch"}


def test_every_explanation_has_a_cause_and_a_cure() -> None:
    assert EXPLAINED
    for entry in EXPLAINED.values():
        for text in (entry.summary, entry.cause, entry.cure):
            assert text.endswith("."), entry.code
            assert text == text.strip(), entry.code
