"""A script that is ended gives its processes the time that they take."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.launch.render.cluster_support import OPEN, at_once, rendered, script
from tests.launch.render.real_stand_ins import RealStandIns


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_children_are_waited_for(tmp_path: Path, number: int, status: int) -> None:
    _, files = rendered("ray", nodes=2)
    engines = RealStandIns(tmp_path / "engines", ["vllm", "ray"])
    engines.behave(all="linger 1")
    text = at_once(files["head.sh"]).replace("\nwait ", "\nfirst_that_ends ")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            # A shell cannot catch what was ignored when it began, as in the background of another.
            [
                *("env", "--default-signal=INT"),
                str(script(tmp_path, text.replace("--port 6379", "--port-of-ray 6379"))),
            ],
            env={**OPEN, "NODE0": "127.0.0.1", "PATH": f"{engines.path}:{os.environ['PATH']}"},
            stdout=log,
            stderr=log,
        )
        engines.started(2)
        process.send_signal(number)
        assert process.wait(timeout=30) == status
    assert [record["ended"] for record in engines.records] == ["SIGTERM", "SIGTERM"]
