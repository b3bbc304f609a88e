"""The completion scripts work in a real shell."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import ENVIRONMENT, PROGRAM, k2compat

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    result = k2compat("completion", shell, "--json")
    assert "_K2COMPAT_COMPLETE" in result.document["script"]


@pytest.mark.sample(5)
@needs_bash
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("k2compat patch", {"patch-config"}),
        ("k2compat patch-config --o", {"--overlay"}),
        ("k2compat patch-config --to ", {"kimi_k2", "deepseek_v3"}),
        ("k2compat explain fingerprint-", {"fingerprint-deepseek", "fingerprint-missing"}),
        ("k2compat completion z", {"zsh"}),
        ("k2compat launch vllm m --gpu h20", {"h20", "h20-141g", "h200"}),
        ("k2compat preflight vllm m --gpu H100", {"h100"}),
        ("k2compat validate m --select gguf-mla", {"gguf-mla-both"}),
        (
            "k2compat validate m --ignore file-empty,file-link-",
            {"file-empty,file-link-dangling", "file-empty,file-link-loop"},
        ),
        ("k2compat launch vllm m --set enforce-e", {"enforce-eager"}),
        ("k2compat launch sglang m --set mem-fraction", {"mem-fraction-static="}),
        ("k2compat launch nonsense m --set mem-fraction", set()),
    ],
)
def test_bash_completes_commands_options_and_codes(line: str, expected: set[str]) -> None:
    words = line.split(" ")
    quoted = " ".join(f'"{word}"' for word in words)
    script = f"""
        set -eu
        eval "$(k2compat completion bash)"
        COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
        _k2compat_completion k2compat
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{Path(PROGRAM).parent}:{ENVIRONMENT['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        check=True,
        text=True,
        env={**ENVIRONMENT, "PATH": path},
    )
    assert set(done.stdout.split()) == expected
    assert done.stderr == ""
