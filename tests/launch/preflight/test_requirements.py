"""The table of what engines need, held against what is known elsewhere."""

import contextlib

import pytest
from packaging.version import Version

from k2compat.errors import RefusedError
from k2compat.launch.flags import ENGINES, flag_table, newest_version, table_versions, version_of
from k2compat.launch.flags.programs import recognize
from k2compat.launch.preflight.requirements import PortRow, needs_of, port_rows

ROWS = [row for row in port_rows() if row.program[0] != "ray"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join((*row.program, row.flag)))
def test_default_ports_are_the_parsers(row: PortRow) -> None:
    """In every table that has the entry point and the flag."""
    start = row.program if "." not in row.program[0] else ("python", "-m", *row.program)
    recognised = recognize((*start, "serve", "x"))
    assert recognised is not None
    entry = recognised[0]
    defaults = set()
    for version in table_versions(entry.engine):
        with contextlib.suppress(RefusedError):  # that version has no such entry point
            flag = flag_table(entry.engine, version, entry.table).find(row.flag)
            defaults |= {flag.default} if flag else set()
    assert defaults == {row.default}


def test_the_least_versions_are_not_newer_than_the_newest_known() -> None:
    for engine in ENGINES:
        newest = version_of(engine, newest_version(engine))
        for row in needs_of(engine).distributions:
            assert Version(row.least) <= newest, row.name
