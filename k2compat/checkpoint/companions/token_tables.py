"""The ids that loaders give to added tokens: with tiktoken.model, and with tokenizer.json.

    tokenizer_config.json   added_tokens_decoder: ids and tokens beside tiktoken.model
    tokenizer.json          model.vocab, and added_tokens

The tokenizers library does not read the ids of added_tokens: it numbers the tokens that the
vocabulary lacks, in their order, from the vocabulary's count on. Transformers then adds what only
added_tokens_decoder has, and does not read its ids either.

tiktoken.model has a token in base64 and its rank on each line; the ranks are checked.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import FileRefusedError, ReadableFile, Source
from k2compat.family import TOKENIZER_CONFIG_FILE
from k2compat.findings import Finding
from k2compat.printable import counted

TOKENIZER_FILE: Final = "tokenizer.json"
TOKENIZER_BYTES_MAX: Final = 64 << 20
"""A vocabulary of 163,840 tokens with its merges has 10 to 20 MB."""

_DECODER: Final = "added_tokens_decoder"


class TokenTable(NamedTuple):
    """The added tokens as a loader numbers them.

    Attributes:
        file: Where they are listed.
        member: Of that file.
        tokens: By id.
        highest: The highest id of all tokens, ordinary ones included; -1 where there is none.
        is_known: Whether a file lists them at all.
    """

    file: str
    member: str
    tokens: Mapping[int, str]
    highest: int
    is_known: bool


_Id = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class _AddedToken(msgspec.Struct):
    """An entry of added_tokens; the library refuses a file that lacks one of these members."""

    id: _Id
    content: str
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool
    special: bool


class _Model(msgspec.Struct):
    vocab: dict[str, _Id] | list[tuple[str, float]]


class _Tokenizer(msgspec.Struct):
    model: _Model
    added_tokens: list[_AddedToken] = []


def read_token_table(
    source: Source, tokenizer: Mapping[str, Any]
) -> tuple[TokenTable, tuple[Finding, ...]]:
    """The table that engines use, and the faults of its files.

    Args:
        source: The model's files.
        tokenizer: The members of tokenizer_config.json; {} without one.
    """
    added = _decoder(tokenizer)
    listed = TokenTable(TOKENIZER_CONFIG_FILE, _DECODER, added, max(added, default=-1), bool(added))
    found = FileFindings(f"{source.name}/{TOKENIZER_FILE}")
    read = _read(source, found)
    if read is None:
        return listed, found.findings()
    vocabulary = _ids(read.model.vocab)
    numbered = _numbered(vocabulary, (token.content for token in read.added_tokens))
    _check_listed(read.added_tokens, numbered, found)
    _check_conflict(numbered, added, found)
    if RANKS_FILE in source.files:
        return listed, found.findings()
    # Transformers sorts by the ids that it does not use.
    rest = (added[number] for number in sorted(added) if added[number] not in numbered)
    numbered = _numbered(vocabulary, (*numbered, *rest))
    highest = max((*vocabulary.values(), *numbered.values()), default=-1)
    tokens = {number: token for token, number in numbered.items()}
    return TokenTable(TOKENIZER_FILE, "added_tokens", tokens, highest, True), found.findings()


def _decoder(tokenizer: Mapping[str, Any]) -> Mapping[int, str]:
    added = tokenizer.get(_DECODER)
    return {
        int(number): token["content"]
        for number, token in (added.items() if isinstance(added, dict) else ())
        if number.isdecimal()
        and len(number) < 10
        and isinstance(token, dict)
        and isinstance(token.get("content"), str)
    }


def _read(source: Source, found: FileFindings) -> _Tokenizer | None:
    if TOKENIZER_FILE not in source.files:
        return None
    try:
        with source.open(TOKENIZER_FILE) as file:
            if is_too_large(file, TOKENIZER_BYTES_MAX, found):
                return None
            data = file.read(0, file.size)
    except FileRefusedError:
        return None  # check_beside reports it
    try:
        return msgspec.json.decode(data, type=_Tokenizer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found.add("companion-damaged", f"it is no tokenizer of the tokenizers library: {error}")
        return None


def _ids(vocabulary: dict[str, int] | list[tuple[str, float]]) -> Mapping[str, int]:
    if isinstance(vocabulary, dict):
        return vocabulary
    return {token: number for number, (token, _) in enumerate(vocabulary)}


def _numbered(vocabulary: Mapping[str, int], contents: Iterable[str]) -> dict[str, int]:
    """The ids that the tokenizers library gives to added tokens, the last of an id last."""
    numbered: dict[str, int] = {}
    holders: dict[int, str] = {}
    following = len(vocabulary)
    for content in contents:
        # A token that is listed again counts only where another one has taken its id meanwhile.
        if not content or holders.get(numbered.get(content, -1)) == content:
            continue
        number = numbered.pop(content, None)
        if number is None:
            number = vocabulary.get(content, following)
            following += content not in vocabulary
        numbered[content] = number
        holders[number] = content
    return numbered


def _check_listed(
    listed: Iterable[_AddedToken], numbered: Mapping[str, int], found: FileFindings
) -> None:
    """Find ids in the file that the library does not use."""
    wrong = [one for one in listed if numbered.get(one.content, one.id) != one.id]
    if wrong:
        first = wrong[0]
        found.add(
            "token-id-unused",
            f"the ids of added_tokens leave out numbers or follow another order: the tokenizers "
            f"library gives {first.content} the id {numbered[first.content]}, not {first.id}",
            at="added_tokens",
            count=len(wrong),
            expected=numbered[first.content],
            actual=first.id,
            items=[one.content for one in wrong],
        )


def _check_conflict(
    numbered: Mapping[str, int], added: Mapping[int, str], found: FileFindings
) -> None:
    """Find tokens with other ids in tokenizer_config.json."""
    differing = [
        (token, number) for number, token in added.items() if numbered.get(token, number) != number
    ]
    if differing:
        token, number = differing[0]
        found.add(
            "tokenizer-conflict",
            f"{token} is {numbered[token]} in {TOKENIZER_FILE} and {number} in "
            f"{TOKENIZER_CONFIG_FILE}: engines differ in the file that they follow",
            at="added_tokens",
            count=len(differing),
            expected=number,
            actual=numbered[token],
            items=[token for token, _ in differing],
        )


RANKS_FILE: Final = "tiktoken.model"
RANKS_BYTES_MAX: Final = 16 << 20
"""Kimi-K2's has 2.8 MB; a larger one is not read."""

_LINE: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2} ([0-9]{1,9})")


def check_ranks(file: ReadableFile) -> tuple[Finding, ...]:
    """Find a line that is not a token and its rank, such as the last line of a cut file.

    Raises:
        FileRefusedError: The file cannot be read.
    """
    defects = FileFindings(str(file.path))
    if is_too_large(file, RANKS_BYTES_MAX, defects):
        return defects.findings()
    lines = file.read(0, file.size).splitlines()
    tokens = list(filter(None, lines))  # tokenizers skip empty lines
    # At once: one step of Python for each of 163,584 lines takes longer than 50,000 tensors.
    if not all(map(_LINE.fullmatch, tokens)):
        return _damaged(file, _first(lines, lambda line: bool(line) and not _LINE.fullmatch(line)))
    # Ranks grow: a last one that is less than the number of tokens before it has lost digits.
    if not tokens or int(tokens[-1].rpartition(b" ")[2]) < len(tokens) - 1:
        return _damaged(file, len(lines) - _first(lines[::-1], bool) + 1 if tokens else 0)
    return ()


def _first(lines: Sequence[bytes], is_meant: Callable[[bytes], bool]) -> int:
    """The number of a line, from 1 on."""
    return next(number for number, line in enumerate(lines, start=1) if is_meant(line))


def is_too_large(file: ReadableFile, limit: int, found: FileFindings) -> bool:
    """Whether a file has more bytes than any tokenizer of the family, which is a finding.

    Args:
        file: The tokenizer's file.
        limit: The largest number of bytes that is read.
        found: Takes the finding.
    """
    if file.size <= limit:
        return False
    found.add(
        "companion-too-large",
        f"it has {counted(file.size, 'byte')}, and was not read: the family's tokenizers have less",
        expected=f"at most {counted(limit, 'byte')}",
        actual=counted(file.size, "byte"),
    )
    return True


def _damaged(file: ReadableFile, number: int) -> tuple[Finding, ...]:
    defects = FileFindings(str(file.path))
    message = "the file is cut or damaged: this line is no token in base64 with its rank"
    defects.add("companion-damaged", message, at=f"line {number}")
    return defects.findings()
