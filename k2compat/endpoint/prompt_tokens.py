"""Exact prompt tokens by a model folder's own template and vocabulary.

The template runs in jinja2's immutable sandbox. The folder's Python is never run, so requests with
tools are left out: Kimi-K2.5 declares them with an encoder of its own.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.reading.whole import objects
from k2compat.errors import RefusedError
from k2compat.gateway import InvalidJsonError, decode

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE_FILE: Final = "chat_template.jinja"
CONFIG_FILE: Final = "tokenizer_config.json"
RANKS_FILE: Final = "tiktoken.model"
FILE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes; Kimi-K2's tiktoken.model has 2.8 MB."""

SPECIAL_PLACES: Final = 256
"""Special tokens after the ordinary ones; an id without a name is a reserved token."""

# How text is cut before its pieces are merged. Source: pat_str in tokenization_kimi.py of
# moonshotai/Kimi-K2-Instruct; `&&` needs regex's version 1.
_WORD_TAIL: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_PIECES: Final = "|".join(
    (
        r"[\p{Han}]+",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_WORD_TAIL}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_WORD_TAIL}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


class Tokenizer:
    """Counts tokens as tiktoken does, special tokens in the text included."""

    def __init__(self, ranks: Mapping[bytes, int], special: Sequence[str]) -> None:
        """Take the vocabulary.

        Args:
            ranks: the rank of each ordinary token.
            special: the texts of the special tokens.
        """
        import regex  # type: ignore[import-untyped]

        self._ranks = ranks
        longest_first = sorted(special, key=len, reverse=True)
        self._special = regex.compile("|".join(map(regex.escape, longest_first)) or r"(?!)")
        self._pieces = regex.compile(_PIECES, regex.VERSION1)

    def count(self, text: str) -> int:
        """The number of tokens in a text."""
        count, at = 0, 0
        for found in self._special.finditer(text):
            count += self._count_ordinary(text[at : found.start()]) + 1
            at = found.end()
        return count + self._count_ordinary(text[at:])

    def spells_special(self, text: str) -> bool:
        """Whether a text spells a special token."""
        return self._special.search(text) is not None

    def _count_ordinary(self, text: str) -> int:
        return sum(
            self._count_piece(piece.encode("utf-8", "replace"))
            for piece in self._pieces.findall(text)
        )

    def _count_piece(self, piece: bytes) -> int:
        """Merge the neighbours of the lowest rank until none are left (byte-pair encoding)."""
        if piece in self._ranks:
            return 1
        parts = [piece[at : at + 1] for at in range(len(piece))]
        while True:
            merges = [
                (rank, at)
                for at in range(len(parts) - 1)
                if (rank := self._ranks.get(parts[at] + parts[at + 1])) is not None
            ]
            if not merges:
                return len(parts)
            _, at = min(merges)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]


class PromptCounter:
    """Counts a request's prompt tokens.

    Attributes:
        chat_template: the template's text.
    """

    def __init__(self, chat_template: str, tokenizer: Tokenizer) -> None:
        """Compile the template.

        Raises:
            RefusedError: endpoint-folder, the template is no valid one.
        """
        self.chat_template = chat_template
        self._template = _compiled(chat_template)
        self._tokenizer = tokenizer

    def counts(self, requests: Sequence[Request]) -> dict[str, int]:
        """The prompt tokens of each request of the check that declares no tools, by name.

        A request whose text spells a special token is left out: with the template alone the text
        becomes the token, but a server may rightly prevent that.

        Raises:
            RefusedError: endpoint-folder, the template fails on a request.
        """
        return {
            request.name: self.count(self.render(request.body))
            for request in requests
            if not (request.must_be_refused or request.is_sample or request.body.get("tools"))
            and not any(map(self._tokenizer.spells_special, _texts_of(request.body["messages"])))
        }

    def count(self, text: str) -> int:
        """The number of tokens in a prompt."""
        return self._tokenizer.count(text)

    def render(self, body: Mapping[str, Any]) -> str:
        """The prompt of a request.

        Raises:
            RefusedError: endpoint-folder, the template fails.
        """
        import jinja2

        switches = body.get("chat_template_kwargs") or {}
        try:
            return self._template.render(
                messages=body["messages"], tools=None, add_generation_prompt=True, **switches
            )
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise _refused(f"{TEMPLATE_FILE} fails: {error}") from None


def _texts_of(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        else:
            yield from (part["text"] for part in objects(content))


def read_prompt_folder(folder: Path) -> PromptCounter:
    """Read the files with which prompts are counted.

    Args:
        folder: the model's folder.

    Raises:
        RefusedError: endpoint-folder, a file is missing or malformed.
    """
    config = _config(folder / CONFIG_FILE)
    template = folder / TEMPLATE_FILE
    text = (
        _read(template).decode("utf-8", "replace")
        if template.exists()
        else config.get("chat_template")
    )
    if not isinstance(text, str):
        raise _refused(f"{folder} has neither {TEMPLATE_FILE} nor a chat_template in its config.")
    ranks = _ranks(folder / RANKS_FILE)
    return PromptCounter(text, Tokenizer(ranks, _special_tokens(config, len(ranks))))


def _special_tokens(config: Mapping[str, Any], first: int) -> list[str]:
    decoder = config.get("added_tokens_decoder")
    named = {
        number: token["content"]
        for number, token in (decoder.items() if isinstance(decoder, dict) else ())
        if isinstance(token, dict) and isinstance(token.get("content"), str) and token["content"]
    }
    places = range(first, first + SPECIAL_PLACES)
    reserved = [f"<|reserved_token_{place}|>" for place in places if str(place) not in named]
    return [*named.values(), *reserved]


def _config(path: Path) -> dict[str, Any]:
    try:
        config = decode(_read(path))
    except InvalidJsonError:
        config = None
    if not isinstance(config, dict):
        raise _refused(f"{path} does not hold a JSON object.")
    return config


def _ranks(path: Path) -> dict[bytes, int]:
    try:
        pairs = (line.split() for line in _read(path).splitlines() if line)
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except (ValueError, binascii.Error):
        raise _refused(f"{path} has a line that is no token and its rank.") from None
    if not ranks:
        raise _refused(f"{path} holds no token.")
    return ranks


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > FILE_LIMIT:
        raise _refused(f"{path} is larger than {FILE_LIMIT} bytes.")
    return content


def _refused(message: str) -> RefusedError:
    return RefusedError(
        "endpoint-folder", message, hint="Give --folder the folder of the served model."
    )


def _compiled(text: str) -> "Template":
    """The template in the environment that Transformers gives it."""
    import jinja2
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    try:
        return environment.from_string(text)
    except jinja2.TemplateError as error:
        raise _refused(f"{TEMPLATE_FILE} is no valid template: {error}") from None


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """The same filter as in Transformers: jinja2's own filter escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> NoReturn:
    raise ValueError(message)
