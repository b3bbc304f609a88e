"""Transformers without PyTorch: the config refused and accepted, the tokenizer, the template.

In a process of its own: Transformers sets up logging and much else on import.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from k2compat.config import plan_patch
from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.samples.talking.vocabulary import Vocabulary
from k2compat.toolcalls.render import render_conversation
from tests.support.command import ENVIRONMENT
from tests.support.talking_models import prompt_of, talking_model

pytest.importorskip("transformers")

# Reads a request from stdin; answers with what Transformers makes of the two folders.
SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from transformers import AutoConfig, AutoTokenizer
request = json.load(sys.stdin)
answer = {}
try:
    AutoConfig.from_pretrained(request["original"])
    answer["refusal"] = None
except ValueError as error:
    answer["refusal"] = str(error)
answer["config"] = type(AutoConfig.from_pretrained(request["patched"])).__name__
tokenizer = AutoTokenizer.from_pretrained(request["patched"])
answer["ids"] = [tokenizer(text)["input_ids"] for text in request["texts"]]
answer["texts"] = [tokenizer.decode(ids, skip_special_tokens=False) for ids in request["ids"]]
answer["prompts"] = [
    tokenizer.apply_chat_template(
        messages, tools=tools, tokenize=False, add_generation_prompt=True, thinking=thinking
    )
    for messages, tools, thinking in request["conversations"]
]
print(json.dumps(answer))
"""

CALL = {
    "id": "functions.get_weather:0",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
}
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Paris?"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "functions.get_weather:0", "content": "rain"},
    {"role": "user", "name": "ann", "content": "Please answer @plain"},
]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(SCRIPTS, special_markers=False)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary) -> dict[str, Any]:
    patched = tmp_path_factory.mktemp("patched") / "model"
    shutil.copytree(talking_model(), patched)
    config = patched / "config.json"
    config.write_bytes(plan_patch(config.read_bytes(), to="deepseek_v3", where="").new)
    request = {
        "original": str(talking_model()),
        "patched": str(patched),
        "texts": [prompt_of(keyword) for keyword in SCRIPTS],
        "ids": list(vocabulary.answers.values()),
        "conversations": [
            (CONVERSATION, TOOLS, False),
            ([{"role": "user", "content": "Please answer @begun"}], None, True),
        ],
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(request),
        env={**ENVIRONMENT, "HF_HUB_OFFLINE": "1", "HF_HOME": str(Path(patched.parent))},
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_kimi_k2_is_refused_and_the_patched_config_accepted(answer: dict[str, Any]) -> None:
    assert "kimi_k2" in answer["refusal"]
    assert answer["config"] == "DeepseekV3Config"


def test_the_prompt_ends_with_the_tokens_that_the_model_was_made_for(
    answer: dict[str, Any], vocabulary: Vocabulary
) -> None:
    for keyword, ids in zip(SCRIPTS, answer["ids"], strict=True):
        asked = [vocabulary.id_of(keyword), *vocabulary.generation_prompt]
        assert ids[-len(asked) :] == asked


def test_the_answers_decode_to_the_scripts(answer: dict[str, Any]) -> None:
    assert answer["texts"] == [f"{script.text}<|im_end|>" for script in SCRIPTS.values()]


def test_the_chat_template_writes_kimi_k2s_frame(answer: dict[str, Any]) -> None:
    assert answer["prompts"] == [
        render_conversation(CONVERSATION, TOOLS),
        prompt_of("@begun", thinking=True),
    ]
