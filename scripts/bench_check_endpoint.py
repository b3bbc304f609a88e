"""What a default run of check-endpoint costs, against a real llama.cpp on this machine.

    python scripts/bench_check_endpoint.py

The baseline is the same requests, sent one after the other by the standard library, whose answers
are not read: what the server itself takes. The model is the talking model, whose tokenizer writes
each byte of a prompt as a token, four times as many as Kimi-K2's own.
"""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from k2compat.endpoint import Request, plan
from k2compat.endpoint.check import Work, check
from k2compat.endpoint.target import Target
from tests.endpoint.talking import talking_server


def send(url: str, request: Request, model: str) -> None:
    """Send one request and drop the answer."""
    body = json.dumps(request.body_for(model)).encode()
    message = urllib.request.Request(
        f"{url}/chat/completions", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(message) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        error.read()


def main() -> None:
    """Measure both, each against a server of its own."""
    requests = plan()
    with talking_server() as url:
        begin = time.perf_counter()
        for request in requests:
            send(url, request, "m")
        baseline = time.perf_counter() - begin
    with talking_server() as url:
        report = asyncio.run(check(Target(base=url), Work(requests=requests)))
    run, judgement = report.run, report.judgement
    print(f"requests: {run.sent}")
    print(f"prompt tokens: {judgement.prompt_tokens:,}")
    print(f"seconds: {run.seconds:.1f}; the requests alone: {baseline:.1f}")
    print(f"ratio: {run.seconds / baseline:.2f}")


if __name__ == "__main__":
    main()
