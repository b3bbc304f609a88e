"""The version in the tag of a container image."""

from k2compat.findings import Codes, Finding
from k2compat.launch.flags import programs_of
from k2compat.launch.modernize.command_text import Edit
from k2compat.launch.modernize.places import Place
from k2compat.launch.modernize.releases import Releases

_codes = Codes("launch")


def pinned_version(place: Place) -> str | None:
    """The engine's version in the tag of a command's image; None where the tag has none."""
    span = _span(place)
    return None if place.image is None or span is None else place.image.text[slice(*span)]


def raised_image(place: Place, releases: Releases) -> tuple[Edit | None, Finding | None]:
    """The tag raised to the requested release, where it names another one.

    The rest of the tag (`-cu126`) stays. Whether a registry has such a tag is not known here.
    """
    engine, image, span = place.entry.engine, place.image, _span(place)
    if image is None or span is None or not releases.was_asked(engine):
        return None, None
    label = releases.of(engine).label
    if image.text[slice(*span)] == label:
        return None, None
    raised = image.text[: span[0]] + label + image.text[span[1] :]
    return Edit(image.start, image.end, raised), _codes.finding(
        "image-raised",
        image.text,
        f"The image {image.text} became {raised}, as --engine-version asks for.",
        expected=raised,
        actual=image.text,
    )


def _span(place: Place) -> tuple[int, int] | None:
    image = programs_of(place.entry.engine).image
    return None if image is None or place.image is None else image.version(place.image.text)
