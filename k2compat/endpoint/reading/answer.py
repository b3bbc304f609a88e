"""An answer as one value, whether it was whole or streamed."""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from k2compat.endpoint.asking.request import Request

Json = dict[str, Any]
_SHOWN: Final = 200


class Observation(NamedTuple):
    """Something that deviates in one answer.

    Attributes:
        code: which finding it belongs to.
        request: the name of the request.
        message: one sentence.
        expected: the expected value.
        actual: the value in the answer.
    """

    code: str
    request: str
    message: str
    expected: str | None = None
    actual: str | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """The recorded answer to one request.

    Attributes:
        status: the HTTP status; None where no answer came.
        content_type: the header's value, without parameters.
        body: the bytes of the body.
        failure: why the answer is not whole; "" where it is.
    """

    status: int | None
    content_type: str = ""
    body: bytes = b""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A tool call of an answer.

    Attributes:
        id: its id; "" where there is none.
        name: the tool; "" where there is none.
        arguments: the arguments as text, or as what the server sent in its place.
    """

    id: str
    name: str
    arguments: Any


@dataclass(slots=True)
class Answer:
    """An answer.

    Attributes:
        request: what it answers.
        is_chat: whether it is a chat completion at all; the other fields are valid only then.
        is_refused: whether the server refused the request with 4xx.
        content: the content, "" for none.
        reasoning: the thoughts, "" for none.
        calls: the tool calls.
        finish_reason: the reason, "" for none.
        usage: the token counts, where there are any.
        pieces: in how many deltas text came; 1 for a whole answer.
        observations: deviations of its form.
    """

    request: Request
    is_chat: bool = True
    is_refused: bool = False
    content: str = ""
    reasoning: str = ""
    calls: tuple[AnsweredCall, ...] = ()
    finish_reason: str = ""
    usage: Json | None = None
    pieces: int = 1
    observations: list[Observation] = field(default_factory=list)

    @property
    def ran_out(self) -> bool:
        """Whether max_tokens ended an answer that was to be whole."""
        return self.finish_reason == "length" and self.request.case != "cut"

    def observe(
        self, code: str, message: str, expected: object = None, actual: object = None
    ) -> None:
        """Note a deviation."""
        self.observations.append(
            Observation(
                code,
                self.request.name,
                message,
                None if expected is None else shown(expected),
                None if actual is None else shown(actual),
            )
        )

    def count(self, name: str) -> int | None:
        """A token count of `usage`, None where it is missing or no whole number."""
        value = (self.usage or {}).get(name)
        return value if type(value) is int and value >= 0 else None


def shown(value: object) -> str:
    """A value from the wire, short enough for a message."""
    text = value if isinstance(value, str) else repr(value)
    half = _SHOWN // 2
    return text if len(text) <= _SHOWN else f"{text[:half]} … {text[-half:]}"


def text_of(value: object) -> str:
    """A text field's value; "" where it is null, missing or no text."""
    return value if isinstance(value, str) else ""


def reasoning_of(message: Json) -> str:
    """The thoughts of a message or delta, under either of the two names."""
    return text_of(message.get("reasoning_content")) or text_of(message.get("reasoning"))
