"""The form "arguments": the arguments of one named tool alone."""

from ..turn.calls import Calls
from ..turn.units import Passage


class ArgumentsForm:
    """Reads one JSON object as the arguments of a call.

    Attributes:
        is_over: whether the object is whole, or broken off.
        differs: always False: a `{` is all that this form asks for.
        unused: always empty: broken arguments are passed on as written.
    """

    __slots__ = ("_begun", "_calls", "_name", "differs", "is_over", "unused")

    def __init__(self, calls: Calls, name: str) -> None:
        self._calls = calls
        self._name = name
        self._begun = False
        self.is_over = False
        self.differs = False
        self.unused = Passage()

    @property
    def in_string(self) -> bool:
        return self._calls.current.arguments.in_string

    def read(self, text: str, at: int) -> int:
        if not self._begun:
            self._begun = True
            self._calls.begin_unnumbered(self._name, at, "")
        arguments = self._calls.current.arguments
        begin = 0
        while (end := text.find("}", begin) + 1) > 0:
            self._calls.write(text[begin:end])
            if arguments.whole:
                self.end(by_end_of_text=False)
                return end
            begin = end
        if begin < len(text):
            self._calls.write(text[begin:])
        return len(text)

    def end(self, *, by_end_of_text: bool) -> None:
        self._calls.end(by_end_of_text=by_end_of_text)
        self.is_over = True
