"""An engine at one version: the value that is made once and passed on."""

from dataclasses import dataclass

from packaging.version import Version

from k2compat.launch.flags.loading import flag_table, newest_version, table_versions, version_of
from k2compat.launch.flags.programs import EntryPoint, todays_entry
from k2compat.launch.flags.table import FlagTable


@dataclass(frozen=True, slots=True)
class EngineRelease:
    """A release of an engine.

    Attributes:
        engine: The engine's name.
        label: The version as it is called; the names of flag tables are versions too.
        version: The same as a value that compares.
    """

    engine: str
    label: str
    version: Version

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
        return cls(engine, label, version_of(engine, label))

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

    def nearest_known(self) -> Version | None:
        """The version of the oldest or newest table, where this release lies beyond it."""
        versions = [version_of(self.engine, table) for table in table_versions(self.engine)]
        oldest, newest = versions[0], versions[-1]
        if oldest <= self.version <= newest or self.version.release == newest.release:
            return None
        return newest if self.version > newest else oldest
