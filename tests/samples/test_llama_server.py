"""llama.cpp in a process of its own: refused where it does not load, ended in any case."""

import sys
from pathlib import Path

import pytest

from k2compat.errors import RefusedError
from k2compat.samples import llama_server


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"no model")
    with (
        pytest.raises(RefusedError, match=r"does not serve .*no\.gguf"),
        llama_server.llama_server(tmp_path / "no.gguf"),
    ):
        pass


def test_a_server_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho http://127.0.0.1:1\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(llama_server, "SECONDS_TO_END", 0.1)
    with llama_server.llama_server(tmp_path / "any.gguf") as address:
        assert address == "http://127.0.0.1:1"
