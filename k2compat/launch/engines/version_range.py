"""Ranges of versions in the form of the engines' tables: ">=0.5.1,<0.5.10", "<0.11"."""

import re
from functools import lru_cache
from typing import Final

from packaging.version import Version

_RANGE: Final = re.compile(r"(?:>=(?P<first>[^,<>=]+))?(?:(?:^|,)<(?P<end>[^,<>=]+))?")


@lru_cache(maxsize=4096)  # every row asks it for every node: 16 nodes ask the same 2,000 times
def in_range(versions: str, version: Version) -> bool:
    """Whether a version is in a range; a pre-release counts as the version that it precedes.

    `packaging.specifiers` is not used: it loads packaging.tags, subprocess and logging, which
    takes 14-20 ms, a tenth of a whole launch. It also excludes every pre-release from a range, but
    0.5.3rc1 has the features of 0.5.3.

    Args:
        versions: ">=FIRST", "<END", both in this order with a comma, or "" for every version.
        version: The version.

    Raises:
        ValueError: The range is written in another way, or names no version.
    """
    limits = _RANGE.fullmatch(versions)
    if limits is None:
        raise ValueError(f"{versions!r} is no range of versions: write it as >=0.5.1,<0.5.10")
    if version.is_prerelease:
        version = Version(version.base_version)
    first, end = limits["first"], limits["end"]
    return (first is None or Version(first) <= version) and (end is None or version < Version(end))
