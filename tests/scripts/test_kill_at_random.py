"""kill -9 at random moments: a few here; the script itself makes hundreds."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts/kill_at_random.py"


def test_a_kill_leaves_old_or_new_and_the_next_run_leaves_nothing_hidden() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--runs", "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stage-gguf: 3 kills" in done.stdout
    assert "patch-config: 3 kills" in done.stdout
    assert "BROKEN" not in done.stdout
