"""Whether what launch renders is taken by a new table of flags.

For `refresh_engines.py`. Run as a file (`engine_renderings.py ENGINE ENGINES_FOLDER`), it prints a
line for each rendering that the tables in that folder refuse.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, not as a module

from k2compat.errors import RefusedError
from k2compat.findings import Severity
from k2compat.launch import Cluster, Request, engines, nodes_at, plan_launch, read_model
from k2compat.launch.engines import read_profile
from k2compat.launch.flags import newest_version

MODELS = ("Kimi-K2-Instruct", "Kimi-K2-Thinking", "Kimi-K2.5")

# Nodes of one group, or of the prefill and the decode group.
CLUSTERS = ((1,), (2,), (1, 1))


def refused_renderings(engine: str, launch: Path, flags: str) -> list[str]:
    """The renderings that a new table refuses and the present one takes, a line each.

    Args:
        engine: The engine.
        launch: The room launch, with its folder `engines`.
        flags: The text of the new flags.json.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "engines"
        shutil.copytree(launch / "engines", copy)
        before = _ask(engine, copy) if (copy / engine / "flags.json").exists() else []
        (copy / engine / "flags.json").write_text(flags, encoding="utf-8")
        return [line for line in _ask(engine, copy) if line not in before]


def _ask(engine: str, folder: Path) -> list[str]:
    """The lines of a process of its own: tables are read once in each."""
    command = [sys.executable, str(Path(__file__).resolve()), engine, str(folder)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        return [f"the tables cannot be read: {' '.join(last)}"]
    return done.stdout.splitlines()


def refusals(engine: str) -> Iterator[str]:
    """What the engine's newest table refuses of the default renderings."""
    version = newest_version(engine)
    for strategy in read_profile(engine).clusters["default"]:
        for model in MODELS:
            for groups in CLUSTERS:
                if (strategy == "pd") != (len(groups) > 1):
                    continue
                where = f"{strategy}, {model}, nodes {'+'.join(map(str, groups))}"
                yield from (
                    f"{where}: {why}" for why in _refused(engine, version, strategy, model, groups)
                )


def _refused(
    engine: str, version: str, strategy: str, model: str, groups: tuple[int, ...]
) -> Iterator[str]:
    names = ("prefill", "decode") if len(groups) > 1 else ("",)
    nodes = [
        node
        for at, (name, count) in enumerate(zip(names, groups, strict=True))
        for node in nodes_at(tuple(f"10.0.{at}.{n}" for n in range(1, count + 1)), name)
    ]
    request = Request(
        engine=engine,
        model=read_model(model),
        cluster=Cluster(tuple(nodes)),
        engine_version=version,
        strategy=strategy,
    )
    try:
        plan = plan_launch(request)
    except RefusedError:
        return  # the engine does not offer this; no table decides it
    for finding in plan.findings:
        if finding.severity is Severity.ERROR and finding.code.startswith("flag-"):
            yield f"{finding.where}: {finding.message}"


if __name__ == "__main__":
    engines.__path__ = [sys.argv[2]]
    for refusal in refusals(sys.argv[1]):
        print(refusal)
