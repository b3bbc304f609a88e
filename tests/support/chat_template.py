"""Renders a conversation as a model's own chat template does, to compare with ours.

For a real model: `prompt_of_template(AutoTokenizer.from_pretrained(folder), …)`.
The template here has the shape that docs/format.md describes, and stands in for
the one in the model's folder, which the tests do not have.
"""

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

TEMPLATE = """\
{%- macro text_of(message) -%}
  {%- if message.content is string -%}
    {{- message.content -}}
  {%- else -%}
    {%- for part in message.content or [] -%}{{- part.text -}}{%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
{%- if tools -%}
  {{- '<|im_system|>tool_declare<|im_middle|>' -}}
  {{- tools | tojson(separators=(',', ':')) -}}
  {{- '<|im_end|>' -}}
{%- endif -%}
{%- for message in messages -%}
  {%- set begin = {'user': '<|im_user|>', 'assistant': '<|im_assistant|>'} -%}
  {{- begin.get(message.role, '<|im_system|>') -}}
  {{- (message.name or message.role) + '<|im_middle|>' -}}
  {%- if message.role == 'tool' -%}
    {{- '## Return of ' + message.tool_call_id + '\\n' -}}
  {%- elif message.role == 'assistant' and thinking -%}
    {{- '<think>' + (message.reasoning_content or '') + '</think>' -}}
  {%- endif -%}
  {{- text_of(message) -}}
  {%- if message.tool_calls -%}
    {{- '<|tool_calls_section_begin|>' -}}
    {%- for call in message.tool_calls -%}
      {{- '<|tool_call_begin|>' + call.id + '<|tool_call_argument_begin|>' -}}
      {%- if call.function.arguments is string -%}
        {{- call.function.arguments -}}
      {%- else -%}
        {{- call.function.arguments | tojson -}}
      {%- endif -%}
      {{- '<|tool_call_end|>' -}}
    {%- endfor -%}
    {{- '<|tool_calls_section_end|>' -}}
  {%- endif -%}
  {{- '<|im_end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_assistant|>assistant<|im_middle|>' -}}
{%- endif -%}
"""


def tokenizer_with(template: str) -> PreTrainedTokenizerFast:
    """A tokenizer that can do nothing but apply its chat template."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer(WordLevel({"": 0}, unk_token="")), chat_template=template
    )


def prompt_of_template(
    tokenizer: Any,
    messages: Sequence[dict[str, Any]],
    tools: Sequence[dict[str, Any]] | None = None,
    **options: Any,
) -> str:
    """The prompt that the tokenizer's chat template makes."""
    prompt = tokenizer.apply_chat_template(
        list(messages), tools=tools, tokenize=False, **{"add_generation_prompt": True, **options}
    )
    assert isinstance(prompt, str)
    return prompt
