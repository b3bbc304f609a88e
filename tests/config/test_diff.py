"""The diff is one that `patch` applies, whatever the file and its name look like."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from k2compat.config import plan_patch, unified_diff
from tests.support.amount import examples
from tests.support.json_texts import ConfigFile, config_files

needs_patch = pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch(1)")


def diff_of(data: bytes, name: str) -> tuple[str, bytes]:
    patch = plan_patch(data, to="deepseek_v3", where=name)
    return unified_diff(patch, name), patch.new


@needs_patch
@settings(max_examples=examples(25))
@given(file=config_files())
def test_patch_applies_it(file: ConfigFile) -> None:
    diff, new = diff_of(file.holding("kimi_k2"), "config.json")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_bytes(file.holding("kimi_k2"))
        command = ["patch", "--binary", "--quiet", "--force", str(config)]
        subprocess.run(command, input=diff.encode(), check=True)
        assert config.read_bytes() == new


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("/models/Kimi K2/config.json", "--- /models/Kimi K2/config.json"),
        ("模型/config.json", "--- 模型/config.json"),
        ("a\nb\\c", r'--- "a\012b\\c"'),
        ('"a"', r'--- "\"a\""'),
        ("\udcff", r'--- "\377"'),
    ],
)
def test_a_name_that_would_mislead_is_quoted_as_gnu_does(name: str, header: str) -> None:
    diff, _ = diff_of(b'{"model_type": "kimi_k2"}', name)
    assert diff.startswith(f"{header}\n+++ {header[4:]}\n@@ -1 +1 @@\n")


def test_a_missing_final_newline_is_marked() -> None:
    diff, _ = diff_of(b'{"model_type": "kimi_k2"}', "config.json")
    assert diff.count("\\ No newline at end of file\n") == 2
