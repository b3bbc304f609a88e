"""The tokens that begin and end turns and calls, and the chat template that writes them.

A shifted id loads: the model then never stops, or its calls arrive as text. There must be
exactly one template, valid Jinja, of this family, and without its old faults. It is parsed, never
rendered: it comes from an untrusted file, and a loop in it can run for hours.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from k2compat.checkpoint.companions.token_tables import (
    RANKS_BYTES_MAX,
    RANKS_FILE,
    TokenTable,
    read_token_table,
)
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import FileRefusedError, Source
from k2compat.family import (
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    KIMI_K2,
    TOKENIZER_CONFIG_FILE,
    fingerprint_of,
    text_config,
)
from k2compat.files import reading
from k2compat.findings import Finding
from k2compat.printable import counted, shortened

ORDINARY_TOKENS: Final = 163_584
"""Ranks of Kimi-K2's tiktoken.model; the special tokens follow."""

VOCABULARY: Final = 163_840

FAMILY_IDS: Final[Mapping[str, int]] = {
    "[BOS]": 163_584,
    "[EOS]": 163_585,
    "<|im_end|>": 163_586,
    "<|im_user|>": 163_587,
    "<|im_assistant|>": 163_588,
    "<|im_system|>": 163_594,
    "<|tool_calls_section_begin|>": 163_595,
    "<|tool_calls_section_end|>": 163_596,
    "<|tool_call_begin|>": 163_597,
    "<|tool_call_argument_begin|>": 163_598,
    "<|tool_call_end|>": 163_599,
    "<|im_middle|>": 163_601,
    "<think>": 163_606,
    "</think>": 163_607,
}
"""Of the tokenizer of moonshotai/Kimi-K2.5; the tokenizers before it have the same."""

REQUIRED: Final = (
    "<|im_end|>",
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
)
_ENDS: Final = ("[EOS]", "<|im_end|>")
_BEGINS: Final = ("[BOS]",)
_ENDS_BY_MEMBER: Final[Mapping[str, Sequence[str]]] = {
    "eos_token_id": _ENDS,
    "bos_token_id": _BEGINS,
}
_NO_STOP: Final = "generation does not stop where a turn ends"
_NO_BEGINNING: Final = "no text of the training began with it"
_EFFECTS: Final = {
    "eos_token_id": _NO_STOP,
    "eos_token": _NO_STOP,
    "bos_token_id": _NO_BEGINNING,
    "bos_token": _NO_BEGINNING,
}
_CLASSES: Final = (
    "TikTokenTokenizer",
    "TikTokenV3",
    "PreTrainedTokenizerFast",
    "PreTrainedTokenizer",
    "TokenizersBackend",
)


def check_special_tokens(
    source: Source,
    config: Mapping[str, Any],
    generation: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
) -> Iterator[Finding]:
    """Find special tokens that are missing, have other ids, or do not end a turn.

    Without Kimi-K2's fingerprint in the config only the bounds are judged: DeepSeek-V3 has
    another tokenizer.

    Args:
        source: The model's files.
        config: The members of config.json.
        generation: The members of generation_config.json; {} without one.
        tokenizer: The members of tokenizer_config.json; {} without one.
    """
    text = text_config(config)
    rows = text.get("vocab_size")
    rows = rows if type(rows) is int else None
    table, findings = read_token_table(source, tokenizer)
    yield from findings
    yield from _bounds(source, table, rows)
    of_kimi_k2 = fingerprint_of(text) == KIMI_K2
    if of_kimi_k2:
        yield from _class(f"{source.name}/{TOKENIZER_CONFIG_FILE}", tokenizer, table)
        yield from _markers(f"{source.name}/{table.file}", table, rows)
    for name, members in (
        (CONFIG_FILE, config),
        (CONFIG_FILE, text if text is not config else {}),
        (GENERATION_CONFIG_FILE, generation),
    ):
        ends = _ENDS_BY_MEMBER if of_kimi_k2 and table.is_known else {}
        yield from _ends(f"{source.name}/{name}", members, table, rows, ends)
    if of_kimi_k2 and rows == VOCABULARY and RANKS_FILE in source.files:
        yield from _ranks(source)


def _bounds(source: Source, table: TokenTable, rows: int | None) -> tuple[Finding, ...]:
    found = FileFindings(f"{source.name}/{table.file}")
    if rows is not None and table.highest >= rows:
        found.add(
            "token-beyond-embedding",
            f"the highest id is {table.highest:,}, the embedding has {counted(rows, 'row')}: "
            "engines fail at such a token",
            at=table.member,
            expected=f"below {rows:,}",
            actual=f"{table.highest:,}",
        )
    return found.findings()


def _class(where: str, tokenizer: Mapping[str, Any], table: TokenTable) -> tuple[Finding, ...]:
    found = FileFindings(where)
    name = tokenizer.get("tokenizer_class")
    if isinstance(name, str) and name not in _CLASSES:
        found.add(
            "tokenizer-foreign",
            "the class is of another model's tokenizer",
            at="tokenizer_class",
            expected=_CLASSES[0],
            actual=name,
        )
    for member, right in (("eos_token", _ENDS), ("bos_token", _BEGINS)):
        value = tokenizer.get(member)
        # Older programs write an object with the token's flags.
        content = value.get("content") if isinstance(value, dict) else value
        if table.is_known and isinstance(content, str) and content not in right:
            found.add(
                "end-token",
                f"{member} is {shortened(content)}: {_EFFECTS[member]}",
                at=member,
                expected=" or ".join(right),
                actual=content,
            )
    return found.findings()


def _markers(where: str, table: TokenTable, rows: int | None) -> tuple[Finding, ...]:
    found = FileFindings(where)
    missing = [token for token in REQUIRED if token not in table.tokens.values()]
    if table.is_known and missing:
        found.add(
            "special-token-missing",
            f"the tokenizer lacks {', '.join(missing)}: engines miss calls and ends of turns",
            at=table.member,
            count=len(missing),
            items=missing,
        )
    # A small model's own tokenizer has other ids throughout.
    if rows == VOCABULARY or table.highest >= ORDINARY_TOKENS:
        for number, token in table.tokens.items():
            expected = FAMILY_IDS.get(token)
            if expected is not None and number != expected:
                found.add(
                    "special-token-id",
                    f"{token} has another id than the model was trained with",
                    at=table.member,
                    expected=expected,
                    actual=number,
                )
    return found.findings()


def _ends(
    where: str,
    members: Mapping[str, Any],
    table: TokenTable,
    rows: int | None,
    ends: Mapping[str, Sequence[str]],
) -> tuple[Finding, ...]:
    found = FileFindings(where)
    for member in _ENDS_BY_MEMBER:
        value = members.get(member)
        for number in value if isinstance(value, list) else [value]:
            if type(number) is not int:
                continue
            right = ends.get(member, ())
            actual = table.tokens.get(number)
            is_beyond = rows is not None and not 0 <= number < rows
            if is_beyond or (right and actual not in right):
                shown = "beyond the vocabulary" if is_beyond else actual or "an ordinary token"
                found.add(
                    "end-token",
                    f"{member} {number} is {shown}: {_EFFECTS[member]}",
                    at=member,
                    expected=" or ".join(right) or f"below {rows:,}",
                    actual=number,
                )
    return found.findings()


def _ranks(source: Source) -> tuple[Finding, ...]:
    found = FileFindings(f"{source.name}/{RANKS_FILE}")
    try:
        with source.open(RANKS_FILE) as file:
            if file.size > RANKS_BYTES_MAX:
                return ()  # check_ranks reports it
            count = sum(map(bool, file.read(0, file.size).splitlines()))
    except FileRefusedError:
        return ()  # check_beside reports it
    if count != ORDINARY_TOKENS:
        found.add(
            "tokenizer-foreign",
            f"the vocabulary has {counted(count, 'token')}: it is cut, or another model's",
            expected=f"{ORDINARY_TOKENS:,}",
            actual=f"{count:,}",
        )
    return found.findings()


TEMPLATE_FILE: Final = "chat_template.jinja"
TEMPLATE_BYTES_MAX: Final = 1 << 20
"""Published ones have 2 to 6 kB."""

_MEMBER: Final = "chat_template"
_MARKERS: Final = ("<|im_middle|>", "<|im_end|>")
_CALLS: Final = "<|tool_call_begin|>"
_GENERATION: Final = "<|im_assistant|>assistant<|im_middle|>"


def check_chat_template(
    source: Source, config: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> Iterator[Finding]:
    """Find a template that is missing, damaged, of another family or old.

    Args:
        source: The model's files.
        config: The members of config.json.
        tokenizer: The members of tokenizer_config.json; {} without one.
    """
    templates = dict(_templates(source, tokenizer))
    found = FileFindings(source.name)
    if not templates:
        # The text completion of a base model needs none.
        if TEMPLATE_FILE not in source.files:
            found.add(
                "chat-template-missing",
                f"there is neither {TEMPLATE_FILE} nor a chat_template in {TOKENIZER_CONFIG_FILE}: "
                "engines refuse chats, or write them in a format of their own",
                expected=TEMPLATE_FILE,
            )
    elif len({text.strip() for text in templates.values()}) > 1:
        found.add(
            "chat-template-conflict",
            f"{' and '.join(templates)} hold different templates: engines differ in the one they "
            "take",
            count=len(templates),
        )
    yield from found.findings()
    for name, text in templates.items():
        yield from _judge(f"{source.name}/{name}", text, text_config(config))


def _templates(source: Source, tokenizer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if TEMPLATE_FILE in source.files:
        try:
            with source.open(TEMPLATE_FILE) as file:
                yield TEMPLATE_FILE, file.read(0, TEMPLATE_BYTES_MAX).decode("utf-8", "replace")
        except FileRefusedError:
            pass  # check_beside reports it
    value = tokenizer.get(_MEMBER)
    # A list has several templates by name: the one for chats is "default".
    for each in value if isinstance(value, list) else [{"name": "default", "template": value}]:
        if isinstance(each, dict) and each.get("name") == "default":
            text = each.get("template")
            if isinstance(text, str):
                yield TOKENIZER_CONFIG_FILE, text


def _judge(where: str, text: str, config: Mapping[str, Any]) -> tuple[Finding, ...]:
    found = FileFindings(where)
    for fault in template_faults(text, of_kimi_k2=fingerprint_of(config) == KIMI_K2):
        found.add(fault.code, fault.message, expected=fault.expected)
    return found.findings()


class TemplateFault(NamedTuple):
    """A fault of a template: the finding's code, its message and the expected text."""

    code: str
    message: str
    expected: str | None = None


def template_faults(text: str, *, of_kimi_k2: bool) -> Iterator[TemplateFault]:
    """Find the faults of a chat template, by parsing it.

    Args:
        text: The template.
        of_kimi_k2: Whether it must be a template of Kimi-K2.
    """
    error = _syntax_error(text)
    if error is not None:
        yield TemplateFault("chat-template-damaged", f"the template is no Jinja: {error}")
    elif of_kimi_k2:
        missing = [marker for marker in _MARKERS if marker not in text]
        if missing:
            message = f"the template writes no {' and no '.join(missing)}: it is another family's"
            yield TemplateFault("chat-template-foreign", message, _GENERATION)
        else:
            for fault in _old_faults(text):
                yield TemplateFault("chat-template-old", fault)


def _syntax_error(text: str) -> str | None:
    from jinja2 import TemplateError  # 40 ms to load
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    # Transformers' own tag, which marks the assistant's tokens for training.
    for tag in ("generation", "endgeneration"):
        for begin, end in (("{% ", " %}"), ("{%- ", " -%}"), ("{%- ", " %}"), ("{% ", " -%}")):
            text = text.replace(f"{begin}{tag}{end}", "")
    try:
        with reading("a chat template"):
            environment.parse(text)
    except (TemplateError, RecursionError) as error:
        return f"line {getattr(error, 'lineno', 1)}: {error}".partition("\n")[0]
    return None


def _old_faults(text: str) -> Iterator[str]:
    """Faults of the family's early templates, and of those that converters rewrote."""
    if "is string" not in text and "is not string" not in text and "is iterable" not in text:
        yield "a list as content is printed as Python's repr: the template knows strings alone"
    if "tojson" in text and "separators" not in text:
        yield "tools are declared with spaces after commas and colons: tojson has no separators"
    if _CALLS in text and "loop.index" in text and "functions." in text:
        yield "ids of calls are rebuilt by counting: results out of order are attributed wrongly"
