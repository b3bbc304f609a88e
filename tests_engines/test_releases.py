"""The versions that are rendered and judged, held against what the package index offers.

It asks pip, the client that `scripts/refresh_engines.py` uses, and needs no installed engine.
"""

import re
import subprocess
import sys
from functools import cache

import pytest
from packaging.version import Version

from k2compat.launch.engines import read_profile
from k2compat.launch.engines.faults import faults_of
from k2compat.launch.flags import ENGINES, programs_of

# Older than the first release on the index: the guide's KTransformers is a tag of its repository.
NOT_ON_THE_INDEX = {("ktransformers", "0.3.2")}


@cache
def offered(distribution: str) -> frozenset[Version]:
    """Every release that pip lists, candidates included."""
    command = [sys.executable, "-m", "pip", "index", "versions", "--pre", distribution]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    listed = re.search(r"Available versions: (.+)", done.stdout)
    if listed is None:
        pytest.skip(f"pip lists no versions of {distribution} here")
    return frozenset(Version(each) for each in listed[1].split(", "))


def releases_of(engine: str) -> frozenset[Version]:
    """The releases of all distributions that an engine's parsers come from."""
    parsers = [each for each in programs_of(engine).parser if not each.own_version]
    names = {name for parser in parsers for name in parser.distributions}
    return frozenset().union(*map(offered, sorted(names)))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_header_names_can_be_installed(engine: str) -> None:
    for version in read_profile(engine).versions.values():
        if (engine, version) not in NOT_ON_THE_INDEX:
            assert Version(version) in releases_of(engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fault_begins_and_ends_with_a_release(engine: str) -> None:
    for fault in faults_of(engine):
        first, end = (re.sub("[<>=]", "", each) for each in fault.versions.split(","))
        assert {Version(first), Version(end)} <= releases_of(engine), fault.versions
