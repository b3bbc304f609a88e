"""Three prefill and three decode groups behind one router: the rendered scripts run for real.

Programs called sglang and python stand in for SGLang's server and router. They listen where their
flags say, and the router asks each server that its flags name. The real router is tested in
tests_engines.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.amount import only_in_test_all
from tests.support.command import k2compat
from tests.support.nodes import until

_PYTHON = """#!{python}
import json, os, signal, socket, sys, threading, time, urllib.request
is_server = os.path.basename(sys.argv[0]) == "sglang"
module, words = ("sglang serve", sys.argv[2:]) if is_server else (sys.argv[2], sys.argv[3:])
def values(flag):
    return [words[at + 1] for at, word in enumerate(words) if word == flag]
def write(**record):
    path = f"{folder}/records/{{os.getpid()}}"
    with open(path, "w") as file:
        json.dump({{"module": module, "words": words, **record}}, file)
    os.rename(path, path + ".json")
def end(number, frame):
    write(ended=signal.Signals(number).name, answered=answered)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
answered = []
if module == "sglang_router.launch_router":
    for url in values("--prefill") + values("--decode"):
        with urllib.request.urlopen(url + "/health", timeout=30) as answer:
            answered.append([url, answer.status])
listener = socket.create_server((values("--host")[0], int(values("--port")[0])))
write(ended=None, answered=answered)
while True:
    peer, _ = listener.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    peer.close()
"""

PREFILL = [["127.0.11.1", "127.0.11.2"], ["127.0.12.1"], ["127.0.13.1"]]
DECODE = [["127.0.21.1"], ["127.0.22.1"], ["127.0.23.1", "127.0.23.2"]]


def rendered(folder: Path) -> list[Path]:
    """The scripts of every node."""
    groups = [
        *(word for hosts in PREFILL for word in ("--prefill-nodes", ",".join(hosts))),
        *(word for hosts in DECODE for word in ("--decode-nodes", ",".join(hosts))),
    ]
    done = k2compat(
        *("launch", "sglang", "/models/K2", *groups, "--interface", "lo", "--ib-device", "mlx5_0"),
        *("--port", "28473", "--set", "port=28471", "--format", "sh", "--out", str(folder)),
    )
    assert done.code == 0, done.words
    return sorted(folder.glob("*.sh"))


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (folder / "records").glob("*.json")]


def value(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


@only_in_test_all
def test_three_and_three_groups_start_behind_one_router(tmp_path: Path) -> None:
    scripts = rendered(tmp_path / "scripts")
    assert len(scripts) == sum(map(len, (*PREFILL, *DECODE)))
    (tmp_path / "records").mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sglang", "python"):
        program = programs / name
        program.write_text(_PYTHON.format(python=sys.executable, folder=tmp_path))
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    started = [
        subprocess.Popen(["bash", str(script)], env=environment, stderr=subprocess.DEVNULL)
        for script in scripts
    ]
    try:
        until(lambda: len(records(tmp_path)) == len(scripts) + 1, 60)
        servers = [each for each in records(tmp_path) if each["module"] == "sglang serve"]
        (router,) = (each for each in records(tmp_path) if each not in servers)
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(30)
    assert all(each["ended"] == "SIGTERM" for each in records(tmp_path))
    # The router reached the first node of every group, as its flags name them.
    urls = [f"http://{hosts[0]}:28471" for hosts in (*PREFILL, *DECODE)]
    assert router["answered"] == [[url, 200] for url in urls]
    for role, groups in (("prefill", PREFILL), ("decode", DECODE)):
        of_role = [
            words
            for words in (each["words"] for each in servers)
            if value(words, "--disaggregation-mode") == role
        ]
        for hosts in groups:
            group = {value(w, "--host"): w for w in of_role if value(w, "--host") in hosts}
            assert sorted(group) == hosts
            for rank, host in enumerate(hosts):
                assert value(group[host], "--dist-init-addr") == f"{hosts[0]}:20000"
                assert value(group[host], "--nnodes") == str(len(hosts))
                assert value(group[host], "--node-rank") == str(rank)
                assert value(group[host], "--tp-size") == str(8 * len(hosts))
