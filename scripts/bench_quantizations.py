"""Hold `validate` against huggingface_hub's listing, on full-scale stand-ins of quantisations.

    python -m scripts.bench_quantizations [NAME ...]     from the repository's root

Writes each stand-in of tests/support/stand_ins.py as sparse shards with an index. The complete
validation and `get_local_safetensors_metadata`, which only lists, run in fresh processes that
take turns. Prints times, peak memory and ratios beside their bars; exit 1 if one is missed.
Needs Linux and a file system with sparse files.

    complete validation              ≤ 0.9 of the listing, peak ≤ 110 MiB
    tensors judged                   all
"""

import json
import sys
import tempfile
from pathlib import Path

from scripts.bench_validate import TIME_RATIO, measure_all
from scripts.make_checkpoint import write_full
from tests.support.stand_ins import STAND_INS, stand_in

PEAK_MIB = 110

_OURS = """
from k2compat.checkpoint import validate
def count(folder):
    validation = validate(folder)
    assert not validation.report.has_errors, [one.message for one in validation.report]
    assert validation.coverage.judged == validation.coverage.all == validation.tensors
    return validation.tensors
"""
_THEIRS = """
from huggingface_hub import get_local_safetensors_metadata
def count(folder):
    return len(get_local_safetensors_metadata(folder).weight_map)
"""


def main(names: list[str]) -> int:
    """Run the comparison; the exit code."""
    missed = 0
    for name in names or STAND_INS:
        with tempfile.TemporaryDirectory() as parent:
            config = Path(parent, "config.json")
            members = {key: each for key, each in stand_in(name).items() if key != "auto_map"}
            config.write_text(json.dumps(members), encoding="utf-8")
            folder = Path(parent, "model")
            write_full(folder, config)
            theirs, ours = measure_all([(folder, _THEIRS), (folder, _OURS)])
        ratio = ours.seconds / theirs.seconds
        holds = ratio <= TIME_RATIO and ours.peak <= PEAK_MIB and ours.tensors == theirs.tensors
        missed += not holds
        print(
            f"{name:30} {ours.tensors:9,} tensors  {ours.seconds * 1000:6.0f} ms"
            f"  {ratio:5.2f} of the listing (bar: ≤ {TIME_RATIO})"
            f"  {ours.peak:6.1f} MiB (bar: ≤ {PEAK_MIB}){'' if holds else '  MISSED'}"
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
