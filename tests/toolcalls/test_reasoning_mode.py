"""Which `reasoning` a request's output is read with."""

import pytest

from k2compat.toolcalls import parse, reasoning_mode

TURN = "<|im_assistant|>assistant<|im_middle|>"
INSTRUCT = f"{{% if add_generation_prompt %}}{TURN}{{% endif %}}"
THINKING = f"<think>{{{{ message.reasoning_content }}}}</think>{INSTRUCT}"
SWITCHED = (
    f"<think></think>{{% if add_generation_prompt %}}{TURN}"
    "{% if thinking is false %}<think></think>{% else %}<think>{% endif %}{% endif %}"
)
IF_ASKED = (
    f"{{%- if add_generation_prompt -%}}{TURN}"
    "{%- if thinking -%}{{- '<think>' -}}{%- endif -%}{%- endif -%}"
)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (f"{TURN}<think>", "prefilled"),
        (f"{TURN}<think>\n", "prefilled"),
        (f"{TURN}<think></think>", "off"),
        (TURN, "tagged"),
    ],
)
def test_the_prompt_s_end_decides(prompt: str, expected: str) -> None:
    assert reasoning_mode(prompt) == expected
    assert reasoning_mode(prompt, chat_template=SWITCHED) == expected


@pytest.mark.parametrize(
    ("template", "thinking", "expected"),
    [
        (INSTRUCT, None, "off"),
        (INSTRUCT, True, "off"),
        (THINKING, None, "tagged"),
        (THINKING, False, "tagged"),
        (SWITCHED, None, "prefilled"),
        (SWITCHED, True, "prefilled"),
        (SWITCHED, False, "off"),
        (IF_ASKED, None, "tagged"),
        (IF_ASKED, True, "prefilled"),
        (IF_ASKED, False, "off"),
        ("<think>", None, "tagged"),
        (None, None, "tagged"),
    ],
)
def test_otherwise_the_template_and_its_switch(
    template: str | None, thinking: bool | None, expected: str
) -> None:
    assert reasoning_mode(chat_template=template, thinking=thinking) == expected


def test_a_prompt_without_the_end_of_its_template_is_not_prefilled() -> None:
    assert reasoning_mode(TURN, chat_template=INSTRUCT) == "off"
    assert parse("a</think>b", reasoning=reasoning_mode(f"{TURN}<think>")).reasoning == "a"
