"""The files of K2-Vendor-Verifier: its samples, and its results for another API.

Samples are JSON Lines with a chat request on each line. Results are JSON Lines with the members
data_index (the number of the sample's line, from 1), request, extra_body, response, status
("success" or "failed"), finish_reason, tool_calls_valid, last_run_at, duration_ms and hash.
Source: `read_jsonl`, `prepare_request`, `process_request` and `deduplicate_and_sort_results` in
tool_calls_eval.py of MoonshotAI/K2-Vendor-Verifier at 0bc5061.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.reading.whole import objects
from k2compat.errors import RefusedError
from k2compat.gateway import InvalidJsonError, decode
from k2compat.shell_line import shell_line

_MODEL: Final = "model"
_INPUT_ROLE: Final = "_input"
"""A role of the samples that the verifier sends as "system"."""


def read_samples(path: Path) -> list[Request]:
    """The samples: a chat request on each line, or one under `request`, as results have it.

    As in the verifier, `model` is replaced, the role `_input` becomes `system`, and a stream is
    asked for its usage. All other fields stay unchanged.

    Raises:
        RefusedError: samples-malformed, a line is no chat request.
    """
    requests = []
    for number, line in _lines(path):
        body = line.get("request", line)
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list):
            raise _malformed(path, number, "holds no chat request")
        requests.append(
            Request(
                name=f"sample-{_index_of(line, number)}",
                purpose="a sample",
                body=_prepared(body),
                calls_before=sum(len(objects(m.get("tool_calls"))) for m in objects(messages)),
                is_sample=True,
            )
        )
    return requests


def _prepared(body: Mapping[str, Any]) -> dict[str, Any]:
    prepared = {name: value for name, value in body.items() if name != _MODEL}
    prepared["messages"] = [_with_known_role(message) for message in body["messages"]]
    if body.get("stream"):
        options = body.get("stream_options")
        given = options if isinstance(options, dict) else {}
        prepared["stream_options"] = {"include_usage": True, **given}
    return prepared


def _with_known_role(message: Any) -> Any:
    if isinstance(message, dict) and message.get("role") == _INPUT_ROLE:
        return {**message, "role": "system"}
    return message


def read_baseline(path: Path) -> dict[str, str]:
    """The baseline's finish reasons by the name of the sample.

    If a sample was run more than once, its last run counts. A failed run is left out.

    Raises:
        RefusedError: samples-malformed, a line has no finish_reason.
    """
    latest: dict[str, tuple[str, str | None]] = {}
    for number, line in _lines(path):
        reason = line.get("finish_reason", "")
        if reason is not None and not isinstance(reason, str):
            raise _malformed(path, number, "has a finish_reason that is no text")
        name, run_at = f"sample-{_index_of(line, number)}", str(line.get("last_run_at", ""))
        succeeded = line.get("status", "success") == "success"
        if name not in latest or run_at >= latest[name][0]:
            latest[name] = (run_at, (reason or "") if succeeded else None)
    return {name: reason for name, (_, reason) in latest.items() if reason is not None}


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _object(path, number, line)
    except OSError as error:
        raise RefusedError(
            "samples-malformed",
            f"{path} cannot be read: {error.strerror}.",
            hint=shell_line("ls", "-l", path),
        ) from None


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = decode(line)
    except InvalidJsonError:
        value = None
    if not isinstance(value, dict):
        raise _malformed(path, number, "is no JSON object")
    return value


def _index_of(line: Mapping[str, Any], number: int) -> int:
    index = line.get("data_index")
    return index if type(index) is int else number


def _malformed(path: Path, number: int, what: str) -> RefusedError:
    return RefusedError(
        "samples-malformed",
        f"{path}, line {number} {what}.",
        hint="k2compat explain samples-malformed",
    )
