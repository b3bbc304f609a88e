"""What the readers of the two forms have in common."""

from typing import Protocol

from ..turn.units import Passage


class FormReader(Protocol):
    """Reads the JSON of one form.

    Attributes:
        is_over: whether the JSON is whole, or broken off.
        differs: whether the output is not of this form. Nothing was reported
            then, and all of it is to be read as another form.
        unused: text, with its place, that was read and belongs to no call.
    """

    is_over: bool
    differs: bool
    unused: Passage

    @property
    def in_string(self) -> bool:
        """Whether the text so far ends inside a JSON string."""

    def read(self, text: str, at: int) -> int:
        """Read text whose first character is at that place.

        Returns:
            The number of characters that belong to the JSON.
        """

    def end(self, *, by_end_of_text: bool) -> None:
        """End the JSON, whole or not."""
