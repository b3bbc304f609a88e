"""Nothing that an upstream sends makes the gateway raise; scripts/fuzz_gateway.py runs more."""

import pytest

from tests.gateway.hostile_streams import check
from tests.support.amount import EVERYTHING

STREAMS = 100_000 if EVERYTHING else 1_000
# In parts, so that they run side by side and none takes a test's whole time.
PARTS = 20


@pytest.mark.parametrize("part", range(PARTS))
def test_no_stream_raises_and_every_answer_is_whole(part: int) -> None:
    for seed in range(part, STREAMS, PARTS):
        check(seed)
