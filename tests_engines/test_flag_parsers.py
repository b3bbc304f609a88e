"""What `launch` renders, and what the goals set, read by the newest installed engines' own parsers.

vLLM's and SGLang's parsers are asked in one process each, through the module with which preflight
asks them: importing vLLM takes 20 s.
"""

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.engines import engine_folder, read_profile
from k2compat.launch.flags import entry_of
from k2compat.launch.plan import Plan
from k2compat.launch.preflight import engine_parser
from tests.launch.support import plan
from tests_engines.conftest import environment_of, programs_of

# What `install.py parsers` installs.
VERSIONS = {"vllm": "0.33.0", "sglang": "0.5.23"}
ENTRIES = {"vllm": "serve", "sglang": "sglang.launch_server"}
FLAGS_OF_OLDER_RELEASES = {"vllm": ["--swap-space", "4"], "sglang": ["--enable-deepep-moe"]}
MODELS = ["Kimi-K2-Instruct", "Kimi-K2-Thinking", "Kimi-K2.5", "Kimi-K2.5-NVFP4", "Kimi-K2.5-MXFP4"]
GPUS = [None, "h200", "h20", "b200", "gb200", "mi300x", "mi355x"]
GOALS = [None, "latency", "throughput", "context"]
NODES = [1, 2, 4]
VALUES = {"interface": "eth0", "ib_device": "mlx5_0"}
CASES_AT_LEAST = 100

ASK = """
import json, os, runpy, sys
ask, parser, entry = sys.argv[1:]
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
reads = runpy.run_path(ask)["_parse"]
parse = runpy.run_path(parser)["PARSERS"][entry]()
json.dump([reads(parse, each) for each in json.load(sys.stdin)], answer)
answer.close()
os._exit(0)
"""


def planned(engine: str) -> Iterator[Plan]:
    """Every plan that is offered, one for each strategy, model, number of nodes, GPU and goal."""
    strategies = read_profile(engine).clusters["default"]
    for strategy, model, nodes, gpu, goal in product(strategies, MODELS, NODES, GPUS, GOALS):
        names = tuple(f"10.0.0.{number}" for number in range(1, nodes + 1))
        try:
            yield plan(
                engine,
                f"moonshotai/{model}",
                gpu=gpu,
                values=VALUES,
                strategy=strategy,
                goal=goal,
                engine_version=VERSIONS[engine],
                nodes=() if strategy == "pd" else names,
                prefill=names if strategy == "pd" else (),
                decode=names if strategy == "pd" else (),
            )
        except RefusedError:
            continue


@cache
def command_lines(engine: str) -> tuple[tuple[str, ...], ...]:
    """The arguments of every server that is started, each once."""
    found: dict[tuple[str, ...], None] = {}
    for each in planned(engine):
        for command in each.commands:
            if command.entry == ENTRIES[engine]:
                start, _ = entry_of(command, engine)
                found[tuple(str(word) for word in command.argv[start:])] = None
    return tuple(found)


def asked(engine: str, lines: list[list[str]]) -> list[tuple[str, str]]:
    """What the installed parser makes of each: "taken" or "refused", and its words."""
    python = programs_of("parsers") / "python"
    ask = Path(engine_parser.__file__).with_name("ask_engine.py")
    parser = engine_folder(engine) / "ask_parser.py"
    done = subprocess.run(
        [str(python), "-c", ASK, str(ask), str(parser), ENTRIES[engine]],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=False,
        env=environment_of("parsers"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [(state, words) for state, words in json.loads(done.stdout)]


@pytest.mark.parametrize("engine", ENTRIES)
def test_the_newest_parser_takes_all_that_is_rendered(engine: str) -> None:
    lines = [list(line) for line in command_lines(engine)]
    assert len(lines) >= CASES_AT_LEAST
    answers = asked(engine, lines)
    refused = [
        (line, words[-300:])
        for line, (state, words) in zip(lines, answers, strict=True)
        if state != "taken"
    ]
    assert not refused, f"{len(refused)} of {len(lines)}: {refused[:3]}"


@pytest.mark.parametrize("engine", ENTRIES)
def test_the_newest_parser_refuses_what_it_no_longer_reads(engine: str) -> None:
    line = [*command_lines(engine)[0], *FLAGS_OF_OLDER_RELEASES[engine]]
    ((state, words),) = asked(engine, [line])
    assert state == "refused"
    assert FLAGS_OF_OLDER_RELEASES[engine][0] in words
