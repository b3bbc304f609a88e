"""Each faulty server is named by its fault's code and by no other; sound ones get no finding.

Every server is judged without sockets. Over real HTTP goes the first server of each code, and
under `make test-all` every one.
"""

import pytest

from k2compat.endpoint import Judgement, checks, plan
from k2compat.endpoint.report import EndpointReport
from tests.endpoint.serving import SoundCounts, checked, judged
from tests.endpoint.standin import SOUND, Server
from tests.endpoint.zoo import ZOO
from tests.support.amount import EVERYTHING

FAULTS_AT_LEAST = 30
# Which requests are left out is decided where they are sent.
SENDING = {"budget-reached"}
WITHOUT_SOCKETS = [name for name, (_, code) in ZOO.items() if code not in SENDING]
FIRST_OF_EACH_CODE = {code: name for name, (_, code) in reversed(ZOO.items())}
OVER_HTTP = list(ZOO) if EVERYTHING else sorted(FIRST_OF_EACH_CODE.values())


def named(found: Judgement | EndpointReport) -> list[str]:
    """The codes of the causes; infos only where there is nothing else."""
    own = [finding for finding in found.report if finding.because is None]
    severe = [finding for finding in own if finding.severity != "info"]
    return [finding.code for finding in severe or own]


@pytest.mark.parametrize("name", WITHOUT_SOCKETS)
def test_a_fault_is_named_first_and_alone(name: str) -> None:
    server, code = ZOO[name]
    judgement = judged(server())
    assert named(judgement) == [code]
    assert judgement.report.findings[0].code == code


@pytest.mark.sample(5)
@pytest.mark.parametrize("name", OVER_HTTP)
def test_a_fault_is_named_over_real_http(name: str) -> None:
    server, code = ZOO[name]
    report = checked(server(), counter=SoundCounts())
    assert named(report) == [code]
    assert report.report.findings[0].code == code


@pytest.mark.parametrize("server", SOUND.values(), ids=SOUND)
@pytest.mark.parametrize("deep", [False, True], ids=["plain", "deep"])
def test_a_sound_server_gets_no_finding(server: type[Server], deep: bool) -> None:
    requests = plan(deep=deep, schemas=deep)
    report = checked(server(), requests, budget=10**6, counter=SoundCounts())
    assert report.report.findings == ()
    assert report.judgement.calls_as_asked == report.judgement.calls_asked >= 19


def test_the_zoo_is_large_and_has_a_server_for_each_check() -> None:
    assert len(ZOO) >= FAULTS_AT_LEAST
    assert {code for _, code in ZOO.values()} == set(checks())
