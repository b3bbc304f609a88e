"""The chat template: exactly one, valid Jinja, of this family, and without its old faults.

The template is parsed, never rendered: it comes from an untrusted file, and a loop in it can run
for hours.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import FileRefusedError, Source
from k2compat.errors import reading
from k2compat.family import KIMI_K2, TOKENIZER_CONFIG_FILE, fingerprint_of, text_config
from k2compat.findings import Finding

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
