"""Each faulty server is named by its fault's code and by no other; sound ones get no finding."""

import pytest

from k2compat.endpoint import plan
from tests.endpoint.serving import causes, checked, judged
from tests.endpoint.standin import SOUND, Server
from tests.endpoint.zoo import ZOO

FAULTS_AT_LEAST = 30


@pytest.mark.parametrize("name", ZOO)
def test_a_fault_is_named_first_and_alone(name: str) -> None:
    server, code = ZOO[name]
    judgement = judged(server())
    assert causes(judgement) == [code]
    assert judgement.report.findings[0].code == code


@pytest.mark.parametrize("server", SOUND.values(), ids=SOUND)
@pytest.mark.parametrize("deep", [False, True], ids=["plain", "deep"])
def test_a_sound_server_gets_no_finding(server: type[Server], deep: bool) -> None:
    requests = plan(deep=deep, schemas=deep)
    report = checked(server(), requests, budget=10**6)
    assert report.report.findings == ()
    assert report.judgement.calls_as_asked == report.judgement.calls_asked >= 19


def test_the_zoo_is_large() -> None:
    assert len(ZOO) >= FAULTS_AT_LEAST
