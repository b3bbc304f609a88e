"""Ranges of versions, against packaging's specifiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from k2compat.launch.engines.version_range import in_range

NUMBERS = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(
    lambda numbers: ".".join(map(str, numbers))
)
RELEASES = st.builds("{}{}".format, NUMBERS, st.sampled_from(["", ".post1"]))


@given(st.none() | RELEASES, st.none() | RELEASES, RELEASES, st.sampled_from(["", "+cu128"]))
def test_a_release_lies_in_a_range_as_a_specifier_decides(
    first: str | None, end: str | None, version: str, local: str
) -> None:
    limits = [f">={first}"] if first else []
    limits += [f"<{end}"] if end else []
    written = ",".join(limits)
    expected = SpecifierSet(written).contains(Version(version))
    assert in_range(written, Version(version + local)) is expected


@pytest.mark.parametrize(("version", "inside"), [("0.5.3rc1", True), ("0.5.2rc1", False)])
def test_a_pre_release_counts_as_the_version_it_precedes(version: str, inside: bool) -> None:
    assert in_range(">=0.5.3,<0.6", Version(version)) is inside
    assert in_range("<0.5.3", Version(version)) is not inside


@pytest.mark.parametrize(
    "written", [">0.4", "<=0.4", "==0.4", "0.4", "<0.4,>=0.3", ">=0.3,", "~=1"]
)
def test_another_way_of_writing_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no range of versions"):
        in_range(written, Version("1"))


def test_a_limit_that_is_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="newest"):
        in_range(">=newest", Version("1"))
