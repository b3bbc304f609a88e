"""Transformers with PyTorch: what it refuses, and what it generates after `patch-config`.

FP8 blocks are dequantised by Transformers' own loader, which takes no matrix whose rows its scales
do not divide. Kimi-K2's kv_a_proj_with_mqa has 576 rows and 5 rows of scales, so a checkpoint in
FP8 as Moonshot stores it does not load (huggingface/transformers#36026 has the case); one that
keeps that matrix in BF16 does.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.samples.talking.checkpoint import weight_files
from k2compat.samples.talking.model import talking_config
from k2compat.samples.talking.vocabulary import Vocabulary
from k2compat.samples.talking.weights import weights
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


# Loads the folder that the command line names.
LOAD = """
import sys, warnings
warnings.simplefilter("ignore")
from transformers import AutoModelForCausalLM
AutoModelForCausalLM.from_pretrained(sys.argv[1])
"""


def patched_copy(original: Path, folder: Path) -> Path:
    """A model behind `k2compat patch-config --to deepseek_v3`."""
    shutil.copytree(original, folder)
    assert k2compat("patch-config", folder, "--to", "deepseek_v3").code == 0
    return folder


def python(script: str, *arguments: Path, given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a script in the environment of Transformers."""
    return subprocess.run(
        [programs_of("transformers") / "python", "-c", script, *arguments],
        input=given,
        # Threads that wait for each other are slow where the processors are shared.
        env=environment_of("transformers", OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=False,
    )


def fp8_with_kv_a_in_bf16(folder: Path) -> Path:
    """The talking model in FP8 blocks but for the matrix that the loader refuses."""
    shutil.copytree(talking_model("fp8"), folder)
    vocabulary = Vocabulary(SCRIPTS, special_markers=False)
    config = talking_config(vocabulary, quantized=True)
    config["quantization_config"]["modules_to_not_convert"] = [
        f"model.layers.{layer}.self_attn.kv_a_proj_with_mqa"
        for layer in range(config["num_hidden_layers"])
    ]
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in weight_files(config, weights(config, vocabulary)).items():
        (folder / name).write_bytes(content)
    assert k2compat("validate", folder).code == 0
    return folder


@pytest.fixture(scope="module", params=["plain", "special", "fp8"])
def result(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    models = tmp_path_factory.mktemp("models")
    is_special = request.param == "special"
    original = (
        fp8_with_kv_a_in_bf16(models / "fp8")
        if request.param == "fp8"
        else talking_model(special_markers=is_special)
    )
    document = {
        "original": str(talking_model()),
        "patched": str(patched_copy(original, models / "patched")),
        "keywords": {keyword: script.is_prefilled for keyword, script in SCRIPTS.items()},
    }
    done = python(SCRIPT, given=json.dumps(document))
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**answer, "special": is_special}


def test_fp8_blocks_of_a_matrix_with_576_rows_are_refused(tmp_path: Path) -> None:
    done = python(LOAD, patched_copy(talking_model("fp8"), tmp_path / "fp8"))
    assert done.returncode == 1
    assert "Weight shape (576, 512) not divisible by scale grid (5, 4)" in done.stderr


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
