"""Feed the gateway event streams as no server should send them.

    python scripts/fuzz_gateway.py [COUNT] [FIRST_SEED]

Prints the seed of each stream that made it raise or write a broken answer.
"""

import sys
import time

from tests.gateway.hostile_streams import check


def main() -> int:
    """Run; the exit status is 1 if a stream failed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    failed = []
    started = time.monotonic()
    for seed in range(first, first + count):
        try:
            check(seed)
        except Exception as error:  # noqa: BLE001 - every failure is a find
            failed.append(seed)
            print(f"seed {seed}: {type(error).__name__}: {error}"[:300])
    print(f"{count} streams, {len(failed)} failed, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
