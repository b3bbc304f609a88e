"""The page of all codes says what the catalogue says."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_findings_page.py"


def test_the_page_is_up_to_date() -> None:
    """If not: python scripts/make_findings_page.py"""
    subprocess.run([sys.executable, SCRIPT, "--check"], check=True)
