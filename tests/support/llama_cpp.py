"""Load GGUFs in llama.cpp, each in a process of its own: it aborts where it does not refuse.

    python tests/support/llama_cpp.py FILE...

Prints a JSON object: path → whether the model was loaded and wrote two tokens.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

SECONDS_MAX = 60
"""For one model; a tiny one takes 15 ms."""


def run_in_llama_cpp(paths: Iterable[Path]) -> dict[Path, bool]:
    """Load each file and let it write; whether that worked.

    One process imports llama.cpp and forks for every file.
    """
    done = subprocess.run(
        [sys.executable, __file__, *map(str, paths)], check=True, capture_output=True, text=True
    )
    return {Path(path): ran for path, ran in json.loads(done.stdout).items()}


def _child(path: str) -> None:
    import xllamacpp  # type: ignore[import-untyped]

    signal.alarm(SECONDS_MAX)
    # An abort would write a core, and start a debugger to print where it happened.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["GGML_NO_BACKTRACE"] = "1"
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = 64
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.fit_params = False
    parameters.no_mmproj = True
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    answer = server.handle_completions({"prompt": "ab", "n_predict": 2})
    os._exit(0 if "choices" in answer else 1)


def _main() -> None:
    import xllamacpp  # noqa: F401 - once, not in every child

    outcomes = {}
    for path in sys.argv[1:]:
        process = os.fork()
        if not process:
            try:
                _child(path)
            finally:
                os._exit(1)
        outcomes[path] = os.waitpid(process, 0)[1] == 0
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    _main()
