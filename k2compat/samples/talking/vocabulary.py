"""The talking model's vocabulary: bytes, pieces of the scripts, and Kimi-K2's special tokens.

    0 … 255           one token for each byte
    256 … N - 1       pieces of the scripts, two to six bytes
    N … N + 255       special places: [BOS] is N, as 163584 is in Kimi-K2

The special tokens have the same distance to [BOS] as in moonshotai/Kimi-K2.5's
`tokenizer_config.json`. The frame's words and the scripts' keywords are added tokens on places
that Kimi-K2 leaves free, so that every tokenizer keeps them whole.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from k2compat.printable import counted
from k2compat.samples.talking.scripts import (
    FALLBACK,
    MARKERS,
    THINK_BEGIN,
    TOOL_MARKERS,
    Script,
)

PLACES: Final = 256
"""Special places behind the ordinary tokens."""

BOS: Final = "[BOS]"
END_OF_TURN: Final = "<|im_end|>"

_CONTROL: Final = {
    0: BOS,
    1: "[EOS]",
    2: END_OF_TURN,
    3: "<|im_user|>",
    4: "<|im_assistant|>",
    9: "[EOT]",
    10: "<|im_system|>",
    17: "<|im_middle|>",
    254: "[UNK]",
    255: "[PAD]",
}
_MARKERS: Final = dict(zip((11, 12, 13, 14, 15, 22, 23), MARKERS, strict=True))
_WORDS: Final = ("user", "assistant", "system", "tool", "tool_declare")
_FIRST_WORD: Final = 128
_FIRST_KEYWORD: Final = 136
KEYWORDS_MAX: Final = 254 - _FIRST_KEYWORD

_SEED: Final = 20_250_711
_PIECE_BYTES: Final = (2, 6)


class AddedToken(NamedTuple):
    """A token that is matched in text before anything else.

    Attributes:
        content: Its text.
        is_special: Whether engines leave it out of the text that they answer.
    """

    content: str
    is_special: bool


class Vocabulary:
    """All tokens, and each script as tokens.

    Attributes:
        ordinary: The bytes of each token below [BOS], by id.
        added: The other tokens, by id.
        answers: The tokens of each script's answer, the end of turn included, by keyword.
        fallback: The same of the answer to a prompt without a keyword.
    """

    def __init__(self, scripts: Mapping[str, Script], *, special_markers: bool) -> None:
        """Cut the scripts into tokens.

        Args:
            scripts: By keyword.
            special_markers: Whether the markers of tool calls are special tokens.

        Raises:
            ValueError: There are more scripts than `KEYWORDS_MAX`.
        """
        if len(scripts) > KEYWORDS_MAX:
            raise ValueError(f"{counted(len(scripts), 'script')}: more than {KEYWORDS_MAX}")
        places = _places(scripts)
        pieces = _Pieces(places.values())
        cut = {keyword: pieces.cut_script(script) for keyword, script in scripts.items()}
        fallback = pieces.cut_script(FALLBACK)
        self.ordinary = tuple(pieces.numbers)
        first = len(self.ordinary)
        self.added = {
            first + place: AddedToken(content, _is_special(content, place, special_markers))
            for place, content in places.items()
        }
        self._added_ids = {token.content: number for number, token in self.added.items()}
        self._prefilled = {key for key, script in scripts.items() if script.is_prefilled}
        self.answers = {keyword: self._answer(tokens) for keyword, tokens in cut.items()}
        self.fallback = self._answer(fallback)

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.ordinary) + PLACES

    def id_of(self, content: str) -> int:
        """The id of an added token."""
        return self._added_ids[content]

    @property
    def user_prompt(self) -> list[int]:
        """The tokens before a user's text."""
        return [self.id_of(content) for content in ("<|im_user|>", "user", "<|im_middle|>")]

    @property
    def generation_prompt(self) -> list[int]:
        """The tokens between a user's text and the answer."""
        frame = (END_OF_TURN, "<|im_assistant|>", "assistant", "<|im_middle|>")
        return [self.id_of(content) for content in frame]

    def prompt_end(self, keyword: str) -> list[int]:
        """The keyword and all tokens between it and the answer."""
        begun = [self.id_of(THINK_BEGIN)] if keyword in self._prefilled else []
        return [self.id_of(keyword), *self.generation_prompt, *begun]

    def bytes_of(self, token: int) -> bytes:
        """What a token stands for."""
        added = self.added.get(token)
        return self.ordinary[token] if added is None else added.content.encode()

    def _answer(self, tokens: Iterable[int | str]) -> list[int]:
        answer = (*tokens, END_OF_TURN)
        return [token if isinstance(token, int) else self.id_of(token) for token in answer]


class _Pieces:
    """Numbers pieces as they come; every byte has its number from the start."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.numbers = {bytes([byte]): byte for byte in range(256)}
        self._random = random.Random(_SEED)  # noqa: S311 - no secret
        self._taken = {content.encode() for content in taken}

    def cut_script(self, script: Script) -> list[int | str]:
        """The tokens of a script: a marker itself, the number of a piece."""
        tokens: list[int | str] = []
        for part in script.parts:
            tokens += [part] if part in MARKERS else self._cut(part.encode())
        return tokens

    def _cut(self, text: bytes) -> Iterator[int]:
        at = 0
        while at < len(text):
            piece = text[at : at + self._random.randint(*_PIECE_BYTES)]
            # Two tokens with one text would make the vocabulary ambiguous.
            if piece not in self._taken:
                at += len(piece)
                yield self.numbers.setdefault(piece, len(self.numbers))


def _places(keywords: Iterable[str]) -> dict[int, str]:
    named = {
        **_CONTROL,
        **_MARKERS,
        **dict(enumerate(_WORDS, _FIRST_WORD)),
        **dict(enumerate(keywords, _FIRST_KEYWORD)),
    }
    return {place: named.get(place, f"<|reserved_token_{place}|>") for place in range(PLACES)}


def _is_special(content: str, place: int, special_markers: bool) -> bool:
    if content in TOOL_MARKERS:
        return special_markers
    return place in _CONTROL or content.startswith("<|reserved_token_")
