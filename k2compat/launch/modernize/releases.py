"""Which release of an engine a command is written for."""

from collections.abc import Iterable, Mapping

from k2compat.errors import RefusedError
from k2compat.launch.flags import EngineRelease


class Releases:
    """The releases of a text's engines: those of the user, or else those of the images."""

    def __init__(self, versions: Mapping[str, str], engines: set[str]) -> None:
        """Choose the releases.

        Args:
            versions: Versions by engine; the key "" means the only engine in the text.
            engines: The engines that the text starts.

        Raises:
            RefusedError: engine-unknown, engine-version-invalid, engine-version-ambiguous.
        """
        asked = {engine: version for engine, version in versions.items() if engine}
        if "" in versions:
            if len(engines) > 1:
                raise RefusedError(
                    "engine-version-ambiguous",
                    f"The text starts several engines: {', '.join(sorted(engines))}.",
                    hint=f"Name the engine: --engine-version {min(engines)}={versions['']}",
                )
            asked |= dict.fromkeys(engines, versions[""])
        self._asked = {engine: EngineRelease.of(engine, label) for engine, label in asked.items()}
        self._beside: dict[str, str] = {}
        self.engines = frozenset(engines)

    def was_asked(self, engine: str) -> bool:
        """Whether the user named a version."""
        return engine in self._asked

    def of(self, engine: str, in_image: str | None = None) -> EngineRelease:
        """The release to write for.

        Args:
            engine: The engine.
            in_image: The version that the command's image names; None where it names none.
        """
        if engine in self._asked:
            return self._asked[engine]
        return EngineRelease.of(engine, in_image)

    def note_images(self, engine: str, in_images: Iterable[str | None]) -> None:
        """Note the versions in the images of an engine's commands, for `beside`.

        Args:
            engine: The engine.
            in_images: For each command the version in its image, as for `of`.
        """
        first, *others = in_images
        if first is not None and None not in others:
            self._beside[engine] = first

    def beside(self, engine: str) -> EngineRelease:
        """The release of the variables and settings files that belong to an engine's commands.

        It is that of the first image where each command has an image with a version.
        """
        return self.of(engine, self._beside.get(engine))
