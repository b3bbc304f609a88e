"""Transformers with PyTorch: what it refuses, and what it generates after `patch-config`."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.toolcalls import StreamParser, parse
from tests.support.command import k2compat
from tests.support.talking_models import talking_model
from tests_engines.conftest import environment_of, programs_of

# Reads a request from stdin; answers with what Transformers makes of it.
SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer

class Pieces(TextStreamer):
    def on_finalized_text(self, text, stream_end=False):
        pieces.append(text)

request = json.load(sys.stdin)
try:
    AutoModelForCausalLM.from_pretrained(request["original"])
    refusal = None
except ValueError as error:
    refusal = str(error)
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(request["patched"])
tokenizer = AutoTokenizer.from_pretrained(request["patched"])
answers = {}
for keyword, thinking in request["keywords"].items():
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Please answer " + keyword}],
        add_generation_prompt=True, thinking=thinking,
        return_tensors="pt", return_dict=True,
    )
    before = prompt["input_ids"].shape[1]
    pieces = []
    ids = model.generate(
        **prompt, max_new_tokens=200, do_sample=True, temperature=1.0,
        streamer=Pieces(tokenizer, skip_prompt=True, skip_special_tokens=False),
    )[0][before:]
    text = tokenizer.decode(ids, skip_special_tokens=False)
    stripped = tokenizer.decode(ids, skip_special_tokens=True)
    answers[keyword] = [text, stripped, pieces]
print(json.dumps({
    "versions": [transformers.__version__, torch.__version__],
    "model": type(model).__name__, "refusal": refusal, "answers": answers,
}))
"""


def patched_copy(folder: Path, *, special_markers: bool) -> Path:
    """The talking model behind `k2compat patch-config --to deepseek_v3`."""
    shutil.copytree(talking_model(special_markers=special_markers), folder)
    assert k2compat("patch-config", folder, "--to", "deepseek_v3").code == 0
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "special"])
def result(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    patched = tmp_path_factory.mktemp("models") / "patched"
    document = {
        "original": str(talking_model()),
        "patched": str(patched_copy(patched, special_markers=request.param)),
        "keywords": {keyword: script.is_prefilled for keyword, script in SCRIPTS.items()},
    }
    done = subprocess.run(
        [programs_of("transformers") / "python", "-c", SCRIPT],
        input=json.dumps(document),
        # Threads that wait for each other are slow where the processors are shared.
        env=environment_of("transformers", OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**answer, "special": request.param}


def test_kimi_k2_is_refused_and_the_patched_model_loads(result: dict[str, Any]) -> None:
    assert "kimi_k2" in result["refusal"]
    assert result["model"] == "DeepseekV3ForCausalLM"


@pytest.mark.parametrize("keyword", SCRIPTS)
def test_each_script_is_exact(keyword: str, result: dict[str, Any]) -> None:
    text, _, _ = result["answers"][keyword]
    assert text == f"{SCRIPTS[keyword].text}<|im_end|>"


@pytest.mark.parametrize("keyword", SCRIPTS)
def test_the_stream_parses_as_the_script_does(keyword: str, result: dict[str, Any]) -> None:
    script = SCRIPTS[keyword]
    _, _, pieces = result["answers"][keyword]
    assert "".join(pieces) == f"{script.text}<|im_end|>"
    parser = StreamParser(TOOLS, reasoning=script.reasoning)
    for piece in pieces:
        parser.feed(piece)
    parser.finish()
    assert parser.message == parse(script.text, TOOLS, reasoning=script.reasoning)


@pytest.mark.parametrize("keyword", SCRIPTS)
def test_special_markers_vanish_unless_they_are_kept(keyword: str, result: dict[str, Any]) -> None:
    script = SCRIPTS[keyword]
    calls = len(parse(script.text, TOOLS, reasoning=script.reasoning).tool_calls)
    _, stripped, _ = result["answers"][keyword]
    found = parse(stripped, TOOLS, reasoning=script.reasoning).tool_calls
    assert len(found) == (0 if result["special"] else calls)
