"""A llama.cpp server in a process of its own: it writes to stdout and stderr as it likes.

    python -m k2compat.samples.llama_server MODEL CONTEXT

It prints its address on a line of its own, and ends when stdin is closed. llama.cpp comes from the
package xllamacpp, which k2compat does not require.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from k2compat.errors import RefusedError

SECONDS_TO_END: Final = 20


def llama_cpp_is_installed() -> bool:
    """Whether this Python has llama.cpp."""
    return find_spec("xllamacpp") is not None


@contextmanager
def llama_server(model: Path, context: int = 4096) -> Iterator[str]:
    """Serve a GGUF on a free port of this machine; its address, as "http://…".

    Args:
        model: The file.
        context: How many tokens a prompt and its answer may have.

    Raises:
        RefusedError: endpoint-unreachable, llama.cpp does not load the model.
    """
    with subprocess.Popen(  # noqa: S603 - our own program and arguments
        [sys.executable, "-m", __name__, str(model), str(context)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin  # noqa: S101 - pipes, by the lines above
        assert process.stdout  # noqa: S101
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise RefusedError(
                    "endpoint-unreachable",
                    f"llama.cpp does not serve {model}.",
                    hint="k2compat explain endpoint-unreachable",
                )
            yield address
        finally:
            process.stdin.close()
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()


def _main(model: str, context: int) -> None:
    import xllamacpp  # type: ignore[import-untyped]

    answers = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.fit_params = False
    parameters.no_mmproj = True
    parameters.warmup = False
    parameters.use_jinja = True
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    answers.write(f"{server.listening_address}\n")
    answers.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
