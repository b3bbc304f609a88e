"""A check of a real llama.cpp, whose model obeys every order but the one of 8 kB."""

import asyncio
from collections.abc import Iterator

import pytest

from k2compat.endpoint import plan
from k2compat.endpoint.check import Work, check
from k2compat.endpoint.report import EndpointReport
from k2compat.endpoint.target import Target
from k2compat.gateway import Settings
from tests.endpoint.serving import causes
from tests.endpoint.talking import talking_server
from tests.support.amount import EVERYTHING

pytest.importorskip("xllamacpp", reason="no wheel of xllamacpp for this platform")

# A prompt of 8 kB is as many tokens for this model, and takes longer than all others together.
REQUESTS = [request for request in plan() if EVERYTHING or request.case != "large"]
# What is asked again through the gateway, in the daily run.
IN_SHORT = ("none", "thought-null", "marker-user", "harmless-user")
# The gateway has no part in the model's answer to the 8 kB, which is judged once, without it.
SHORT = [
    request
    for request in REQUESTS
    if request.case != "large" and (EVERYTHING or request.case in IN_SHORT)
]


@pytest.fixture(scope="module")
def plain() -> Iterator[EndpointReport]:
    with talking_server() as url:
        yield asyncio.run(check(Target(base=url), Work(requests=REQUESTS)))


@pytest.fixture(scope="module")
def special() -> Iterator[EndpointReport]:
    """Markers are special tokens, and the same is asked through the gateway."""
    with talking_server(special_markers=True) as url:
        work = Work(requests=SHORT, gateway=Settings(upstream=url))
        yield asyncio.run(check(Target(base=url), work))


def test_its_calls_are_right(plain: EndpointReport) -> None:
    judgement = plain.judgement
    missed = [name for name, answer in judgement.answers.items() if answer.request.case == "large"]
    assert judgement.calls_as_asked == judgement.calls_asked - len(missed) == 18
    assert plain.engine == "llama.cpp"


def test_what_is_wrong_is_named(plain: EndpointReport) -> None:
    assert {finding.code: finding.items for finding in plain.report if not finding.because} == {
        # type must be string, but is null
        "server-failed": ("thought-null",),
        "markers-leaked": ("none.whole", "none.stream"),
        # The talking model's template prints no thoughts.
        "thoughts-dropped": ("thought-kept",),
        "marker-text-acts": ("marker-user", "marker-result"),
        **({"call-not-made": ("large.stream",)} if EVERYTHING else {}),
    }


def test_a_whole_run_stays_within_the_promised_prompt_tokens(plain: EndpointReport) -> None:
    assert plain.run.sent <= 40
    assert plain.judgement.prompt_tokens <= 60_000


def test_the_gateway_repairs_it(special: EndpointReport) -> None:
    assert special.repairs is not None
    named = ["server-failed", "markers-leaked", "marker-text-acts"]
    assert [code for code in causes(special) if code != "thoughts-dropped"] == named
    assert special.repairs.repaired == {
        "server-failed": "",
        "markers-leaked": "reading",
        "marker-text-acts": "marker-text",
    }
    assert special.repairs.added == []
