"""Transformers loads the tokenizer that the tiktoken form brings, with `trust_remote_code`.

In a process of its own: Transformers copies the folder's Python and imports it.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from k2compat.config import plan_patch
from k2compat.endpoint.prompt_tokens import read_prompt_folder
from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.samples.talking.vocabulary import Vocabulary
from k2compat.toolcalls.render import render_conversation
from tests.endpoint.test_prompt_tokens import TEXT
from tests.support.command import ENVIRONMENT
from tests.support.talking_models import prompt_of, talking_model

pytest.importorskip("transformers")
pytest.importorskip("tiktoken")

pytestmark = pytest.mark.sample(3)  # the daily run tries ordinary markers alone

SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from transformers import AutoTokenizer
request = json.load(sys.stdin)
answer = {}
try:
    AutoTokenizer.from_pretrained(request["folder"], trust_remote_code=False)
    answer["refusal"] = None
except ValueError as error:
    answer["refusal"] = str(error)
tokenizer = AutoTokenizer.from_pretrained(request["folder"], trust_remote_code=True)
answer["class"] = type(tokenizer).__name__
answer["size"] = [tokenizer.vocab_size, len(tokenizer)]
answer["ids"] = [tokenizer(text)["input_ids"] for text in request["texts"]]
answer["back"] = [tokenizer.decode(ids) for ids in answer["ids"]]
answer["answers"] = [tokenizer.decode(ids) for ids in request["ids"]]
answer["stripped"] = [tokenizer.decode(ids, skip_special_tokens=True) for ids in request["ids"]]
answer["prompt"] = tokenizer.apply_chat_template(
    request["messages"], tools=request["tools"], tokenize=False, add_generation_prompt=True
)
tokenizer.save_pretrained(request["copy"])
again = AutoTokenizer.from_pretrained(request["copy"], trust_remote_code=True)
answer["again"] = [again(text)["input_ids"] for text in request["texts"]]
print(json.dumps(answer))
"""

TEXTS = [
    *(prompt_of(keyword) for keyword in SCRIPTS),
    TEXT,
    "It's 天气预报 1234567 🌦️  \n\n café <|im_end|><|im_ [EOS] half ",
    "",
]
MESSAGES = [{"role": "user", "content": "Please answer @plain"}]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "special"])
def special(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def vocabulary(special: bool) -> Vocabulary:
    return Vocabulary(SCRIPTS, special_markers=special)


@pytest.fixture(scope="module")
def folder(special: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model patched to deepseek_v3: Transformers reads no config of kimi_k2."""
    copy = tmp_path_factory.mktemp("patched") / "model"
    shutil.copytree(talking_model(tokenizer="tiktoken", special_markers=special), copy)
    config = copy / "config.json"
    config.write_bytes(plan_patch(config.read_bytes(), to="deepseek_v3", where="").new)
    return copy


@pytest.fixture(scope="module")
def answer(
    folder: Path, vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    request = {
        "folder": str(folder),
        "copy": str(home / "copy"),
        "texts": TEXTS,
        "ids": list(vocabulary.answers.values()),
        "messages": MESSAGES,
        "tools": TOOLS,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(request),
        env={**ENVIRONMENT, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_it_is_the_folders_class_and_needs_trust(
    answer: dict[str, Any], vocabulary: Vocabulary
) -> None:
    assert "trust_remote_code" in answer["refusal"]
    assert answer["class"] == "TikTokenTokenizer"
    assert answer["size"] == [len(vocabulary.ordinary), len(vocabulary)]


def test_text_is_encoded_without_loss_and_counted_as_we_count(
    answer: dict[str, Any], folder: Path
) -> None:
    assert answer["back"] == TEXTS
    assert answer["again"] == answer["ids"]
    count = read_prompt_folder(folder).count
    assert [len(ids) for ids in answer["ids"]] == [count(text) for text in TEXTS]


def test_the_prompt_ends_with_the_tokens_that_the_model_was_made_for(
    answer: dict[str, Any], vocabulary: Vocabulary
) -> None:
    for keyword, ids in zip(SCRIPTS, answer["ids"], strict=False):
        asked = [vocabulary.id_of(keyword), *vocabulary.generation_prompt]
        assert ids[-len(asked) :] == asked


def test_answers_decode_to_the_scripts(answer: dict[str, Any], special: bool) -> None:
    assert answer["answers"] == [f"{script.text}<|im_end|>" for script in SCRIPTS.values()]
    texts = dict(zip(SCRIPTS, answer["stripped"], strict=True))
    call = 'functions.get_weather:0{"city": "Oslo"}'
    assert texts["@only"] == (call if special else SCRIPTS["@only"].text)


def test_the_chat_template_writes_kimi_k2s_frame(answer: dict[str, Any]) -> None:
    assert answer["prompt"] == render_conversation(MESSAGES, TOOLS)
