"""Keeps the text of one call's arguments while it arrives."""

from typing import Final

from .json_prefix import ObjectPrefix, stays_in_string
from .markers import WHITE_SPACE

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
        pieces: the latest pieces of the text. Once it has begun, a piece may be
            appended here instead of calling `add`, if `take_ready_text` is called next,
            or if nothing waits and the piece does not end in white space.
        waiting: the place in `pieces` from which on they wait, or None.
    """

    __slots__ = (
        "_blocks",
        "_counted",
        "_prefix",
        "_quotes_are_odd",
        "_scanned",
        "_string_was_open",
        "pieces",
        "waiting",
    )

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.waiting: int | None = None
        self._scanned = 0
        self._string_was_open = False
        self._counted = 0
        self._quotes_are_odd = False
        self._blocks: list[str] = []
        self._prefix = ObjectPrefix()

    @property
    def blank(self) -> bool:
        """Whether nothing but white space was written."""
        return not (self.pieces or self._blocks)

    @property
    def in_string(self) -> bool:
        """Whether the text so far ends inside a JSON string."""
        self._scan_new_pieces()
        # White space that waits is not inside a string, or it would not wait.
        return self.waiting is None and self._prefix.in_string

    @property
    def possible(self) -> bool:
        """Whether the text can still become one JSON object."""
        self._scan_new_pieces()
        return self._prefix.possible

    @property
    def whole(self) -> bool:
        """Whether the text is one whole JSON object."""
        self._scan_new_pieces()
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
        if not text:
            return ""
        self.pieces.append(text)
        return self.take_ready_text()

    def take_ready_text(self) -> str:
        """Take the piece last appended to `pieces`.

        Returns:
            What can be passed on now, as of `add`.
        """
        pieces, waiting = self.pieces, self.waiting
        text = pieces[-1]
        if text[-1] > " ":
            self.waiting = None
            return text if waiting is None else "".join(pieces[waiting:])
        if waiting is None and self._string_was_open:
            if stays_in_string("".join(pieces[self._scanned :])):
                self._scanned = len(pieces)
                return text
            self._string_was_open = False
        body = text.rstrip(WHITE_SPACE)
        passed = ""
        if body:
            pieces[-1] = body
            passed = body if waiting is None else "".join(pieces[waiting:])
            self.waiting = None
            if body == text:
                return passed
            pieces.append(text[len(body) :])
        elif waiting is not None:
            return ""
        self.waiting = len(pieces) - 1
        return passed + self._release_spaces_inside_string() if self._quotes_are_open() else passed

    def _quotes_are_open(self) -> bool:
        """Whether a string is open as far as the quotes alone tell: cheap.

        If they are even, no string is open, whatever is between them: strings are
        open only in what can still become an object, and there each quote opens
        or closes one.
        """
        new = "".join(self.pieces[self._counted :])
        self._counted = len(self.pieces)
        if "\\" in new:
            self._scan_new_pieces()
            self._quotes_are_odd = self._prefix.quote_is_open
        elif new.count('"') % 2:
            self._quotes_are_odd = not self._quotes_are_odd
        return self._quotes_are_odd

    def _release_spaces_inside_string(self) -> str:
        """Take from the white space that waits what is in an open string: spaces alone."""
        self._scan_new_pieces()
        if not self._prefix.in_string:
            return ""
        self.waiting = None
        edge = self.pieces[-1]
        rest = edge.lstrip(" ")
        if rest:
            edge = edge[: -len(rest)]
            self.pieces[-1:] = edge, rest
            self.waiting = len(self.pieces) - 1
        return edge

    def _scan_new_pieces(self) -> None:
        """Look into the pieces not looked into yet, but for those that wait."""
        if new := self.pieces[self._scanned : self.waiting]:
            self._prefix.read("".join(new))
            self._scanned += len(new)
            self._string_was_open = self._prefix.in_string

    def _join_pieces(self) -> None:
        self._scan_new_pieces()
        self._quotes_are_odd = self._prefix.quote_is_open
        if settled := self.pieces[: self.waiting]:
            self._blocks.append("".join(settled))
            del self.pieces[: self.waiting]
            self.waiting = None if self.waiting is None else 0
            self._scanned = 0
            self._counted = 0


class WholeText(ArgumentText):
    """Arguments that came whole: one JSON object, of which nothing is kept but its text."""

    __slots__ = ("_whole_text",)

    def __init__(self, text: str) -> None:
        self._whole_text = text

    @property
    def blank(self) -> bool:
        """False: an object is not blank."""
        return False

    @property
    def text(self) -> str:
        """The arguments as written."""
        return self._whole_text


class OpenArguments:
    """The arguments that the fast path of `StreamParser.feed` adds to.

    Attributes:
        pieces: the list that takes their pieces.
        text: their text, of which `pieces` is a part.
        index: the call's number.
        counted: how many of the pieces the parser's position counts.
    """

    __slots__ = ("counted", "index", "pieces", "text")

    def __init__(self, pieces: list[str], text: ArgumentText, index: int) -> None:
        self.pieces = pieces
        self.text = text
        self.index = index
        self.counted = len(pieces)
