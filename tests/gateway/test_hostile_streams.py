"""Nothing that an upstream sends makes the gateway raise; scripts/fuzz_gateway.py runs more."""

from tests.gateway.hostile_streams import check
from tests.support.amount import EVERYTHING

STREAMS = 100_000 if EVERYTHING else 3_000


def test_no_stream_raises_and_every_answer_is_whole() -> None:
    for seed in range(STREAMS):
        check(seed)
