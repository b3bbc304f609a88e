"""The page of schemes is the table's."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_schemes_page.py"


def test_the_page_is_up_to_date() -> None:
    """If not: python scripts/make_schemes_page.py"""
    subprocess.run([sys.executable, str(SCRIPT), "--check"], check=True)
