"""Keeps the text of one call's arguments while it arrives."""

from typing import Final

from k2compat.toolcalls.json_prefix import ObjectPrefix
from k2compat.toolcalls.markers import WHITE_SPACE

# Short pieces cost far more memory than their characters: so many at most are
# kept apart before they are joined.
PIECES_AT_MOST: Final = 4096


class ArgumentText:
    """The arguments of one call.

    White space at their edges does not belong to them, unless it is inside an
    open JSON string. So white space at the end waits until it is known whether
    anything follows. What is inside an open string is found out only when the
    text ends in white space and its quotes alone do not tell, or when a marker
    arrives, and then only for the characters that are new.

    Attributes:
        pieces: the latest pieces of the text. Whoever knows that a piece neither
            begins nor ends the arguments and does not end in white space may
            append it here instead of calling `add`.
    """

    __slots__ = (
        "_blocks",
        "_counted",
        "_edge",
        "_looked_into",
        "_prefix",
        "_quotes_are_odd",
        "_string_was_open",
        "pieces",
    )

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._looked_into = 0
        self._string_was_open = False
        self._counted = 0
        self._quotes_are_odd = False
        self._blocks: list[str] = []
        self._edge: list[str] = []
        self._prefix = ObjectPrefix()

    @property
    def blank(self) -> bool:
        """Whether nothing but white space was written."""
        return not (self.pieces or self._blocks)

    @property
    def flowing(self) -> bool:
        """Whether text has begun and none is waiting."""
        return not (self.blank or self._edge)

    @property
    def in_string(self) -> bool:
        """Whether the text so far ends inside a JSON string."""
        self._look()
        # White space that waits is not inside a string, or it would not wait.
        return self._prefix.in_string and not self._edge

    @property
    def possible(self) -> bool:
        """Whether the text can still become one JSON object."""
        self._look()
        return self._prefix.possible

    @property
    def whole(self) -> bool:
        """Whether the text is one whole JSON object."""
        self._look()
        return self._prefix.whole

    @property
    def text(self) -> str:
        """The arguments as written, without waiting white space."""
        self._join_pieces()
        if len(self._blocks) > 1:
            self._blocks = ["".join(self._blocks)]
        return self._blocks[0] if self._blocks else ""

    def add(self, text: str) -> str:
        """Take the next piece of text.

        Args:
            text: any characters.

        Returns:
            What can be passed on now; it may be empty, and it may begin with
            white space that waited.
        """
        if len(self.pieces) >= PIECES_AT_MOST:
            self._join_pieces()
        if self.blank:
            text = text.lstrip(WHITE_SPACE)
        body = text.rstrip(WHITE_SPACE)
        edge = text[len(body) :]
        if body:
            if self._edge:
                body = "".join((*self._edge, body))
                self._edge.clear()
            self.pieces.append(body)
        return body + self._take_inside(edge) if edge else body

    def _take_inside(self, edge: str) -> str:
        """Take from white space at the end what is inside an open string: only spaces can be."""
        if self._edge or self._quotes_are_closed() or not self.in_string:
            self._edge.append(edge)
            return ""
        rest = edge.lstrip(" ")
        inside = edge[: len(edge) - len(rest)]
        if inside:
            self.pieces.append(inside)
        if rest:
            self._edge.append(rest)
        return inside

    def _quotes_are_closed(self) -> bool:
        """Whether the quotes alone tell that no string is open: cheap.

        They do, whatever stands between them: strings are open only in what can
        still become an object, and there each quote opens or closes one.
        """
        new = "".join(self.pieces[self._counted :])
        self._counted = len(self.pieces)
        if "\\" in new:
            self._look()
            self._quotes_are_odd = self._prefix.quote_is_open
        elif new.count('"') % 2:
            self._quotes_are_odd = not self._quotes_are_odd
        return not self._quotes_are_odd

    def ends_in_string(self) -> bool:
        """Whether the pieces not looked into stay in the string open before them: cheap."""
        if not self._string_was_open:
            return False
        pieces = self.pieces
        new = "".join(pieces[self._looked_into :])
        plain = '"' not in new and "\\" not in new and new.isprintable()
        if plain or self._prefix.stays_in_string(new):
            self._looked_into = len(pieces)
            return True
        return False

    def _look(self) -> None:
        """Look into the pieces not looked into yet."""
        if self._looked_into < len(self.pieces):
            self._prefix.read("".join(self.pieces[self._looked_into :]))
            self._looked_into = len(self.pieces)
            self._string_was_open = self._prefix.in_string

    def _join_pieces(self) -> None:
        self._look()
        self._quotes_are_odd = self._prefix.quote_is_open
        if self.pieces:
            self._blocks.append("".join(self.pieces))
            self.pieces.clear()
            self._looked_into = 0
            self._counted = 0
