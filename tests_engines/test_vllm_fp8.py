"""vLLM's CPU build with the FP8 form of the talking model: 128 × 128 blocks, as Kimi-K2 has them.

Its kernels need AMX, which `lscpu` names amx_tile (Sapphire Rapids or newer).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from k2compat.samples.talking import SCRIPTS
from tests.support.talking_models import prompt_of, talking_model
from tests_engines.conftest import launched

CPU = Path("/proc/cpuinfo")

if not CPU.is_file() or "amx_tile" not in CPU.read_text():
    pytest.skip("vLLM computes with FP8 on a CPU with AMX alone", allow_module_level=True)


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    with (
        launched(talking_model("fp8"), tmp_path_factory.mktemp("fp8")) as url,
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300) as client,
    ):
        yield client


@pytest.mark.parametrize("keyword", SCRIPTS)
def test_each_script_is_exact(openai: OpenAI, keyword: str) -> None:
    script = SCRIPTS[keyword]
    answer = openai.completions.create(
        model="kimi-k2",
        prompt=prompt_of(keyword, thinking=script.is_prefilled),
        max_tokens=200,
        temperature=1,
        extra_body={"skip_special_tokens": False},
    )
    assert answer.choices[0].text == script.text
