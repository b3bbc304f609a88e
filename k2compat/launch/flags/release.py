"""An engine at one version: the value that is made once and passed on."""

import msgspec
from packaging.version import InvalidVersion, Version

from k2compat.launch.flags.loading import flag_table, newest_version, table_versions, version_of
from k2compat.launch.flags.programs import EntryPoint, todays_entry
from k2compat.launch.flags.table import FlagTable


class EngineRelease(msgspec.Struct, frozen=True):
    """A release of an engine.

    Attributes:
        engine: The engine's name.
        label: The version as the user wrote it; for the name of a flag table that no release has,
            the release that it stands for, so that what is rendered names one to install.
        version: The same as a value that compares.
        nearest_known: The version of the oldest or newest table, where this release lies beyond it;
            otherwise None.
    """

    engine: str
    label: str
    version: Version
    nearest_known: Version | None = None

    @classmethod
    def of(cls, engine: str, label: str | None = None) -> "EngineRelease":
        """A release by its version; the newest that has a table where none is named.

        Raises:
            RefusedError: engine-unknown, engine-version-invalid.
        """
        if label is None:  # some tables have a name that no release has
            newest = version_of(engine, newest_version(engine))
            return cls(engine, str(newest), newest)
        label = label.removeprefix("v")
        version = version_of(engine, label)
        try:
            Version(label)
        except InvalidVersion:  # the name of a table
            label = str(version)
        return cls(engine, label, version, _nearest_known(engine, version))

    def __str__(self) -> str:
        """The engine and the version, as messages name it."""
        return f"{self.engine} {self.label}"

    def table(self, entry: str) -> FlagTable:
        """The flags of an entry point.

        Raises:
            RefusedError: entry-unknown.
        """
        return flag_table(self.engine, self.label, entry)

    def today(self, entry: str) -> EntryPoint:
        """The entry point to use in place of one, or itself.

        Raises:
            RefusedError: entry-unknown, entry-gone.
        """
        return todays_entry(self.engine, entry, self.label)


def _nearest_known(engine: str, version: Version) -> Version | None:
    known = [version_of(engine, table) for table in table_versions(engine)]
    oldest, newest = known[0], known[-1]
    if oldest <= version <= newest or version.release == newest.release:
        return None
    return newest if version > newest else oldest
