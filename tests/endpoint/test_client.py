"""The only module with sockets: where requests go, when a check ends, what a run may cost."""

import asyncio
import json
import socket
from typing import Any

import pytest

from k2compat.endpoint import Request, client, plan
from k2compat.endpoint.client import run
from k2compat.endpoint.target import Target
from k2compat.errors import RefusedError
from tests.endpoint.serving import causes, checked, serving
from tests.endpoint.standin import Json, Response, Server, dump

KEY = "sk-canary"
SHORT = [request for request in plan() if request.case in ("plain", "one")]


class Keyed(Server):
    """Keeps the headers that it gets; wants the key."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str | None] = []

    def admit(self, headers: Any) -> Response | None:
        self.keys.append(headers.get("Authorization"))
        if self.keys[-1] == f"Bearer {KEY}":
            return None
        return Response(401, body=b'{"error": {"message": "no such key"}}')


class Redirecting(Keyed):
    """Sends clients on to another server."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def admit(self, headers: Any) -> Response | None:
        super().admit(headers)
        return Response(307, headers={"Location": self.place})


class Status(Server):
    """Answers chats with a status."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status

    def handle(self, raw: bytes) -> Response:
        return Response(self.status, body=b"not here", content_type="text/plain")


class SeveralModels(Server):
    def models(self) -> Json:
        return {"data": [{"id": "a"}, {"id": self.model}]}


class Hanging(Server):
    """Gives no answer to requests with tools."""

    def handle(self, raw: bytes) -> Response:
        response = super().handle(raw)
        response.pause = 5.0 if b'"tools"' in raw else 0.0
        return response


class Endless(Server):
    def handle(self, raw: bytes) -> Response:
        response = super().handle(raw)
        if b'"tools"' in raw:
            response.body = b" " * 70_000
        return response


def refusal_of(server: Server, **more: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        checked(server, SHORT, **more)
    return caught.value


def test_a_key_goes_to_each_request_of_the_url() -> None:
    server = Keyed()
    assert causes(checked(server, SHORT, key=KEY)) == []
    assert server.keys == [f"Bearer {KEY}"] * 5


def test_without_the_key_nothing_is_checked() -> None:
    refusal = refusal_of(Keyed())
    assert refusal.code == "endpoint-key-refused"
    assert "no such key" in refusal.message
    assert "--key-file" in refusal.hint


def test_a_redirect_is_not_followed_so_the_key_stays() -> None:
    async def both() -> tuple[RefusedError, Keyed]:
        other = Keyed()
        async with serving(other) as place, serving(Redirecting(f"{place}/models")) as url:
            with pytest.raises(RefusedError) as caught:
                await run(Target(base=url, key=KEY), SHORT)
            return caught.value, other

    refusal, other = asyncio.run(both())
    assert refusal.code == "endpoint-redirected"
    assert other.keys == []


def test_a_proxy_of_the_environment_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert checked(Keyed(), SHORT, key=KEY).run.sent == 5


def test_a_key_is_in_no_report() -> None:
    class Echoing(Keyed):
        def handle(self, raw: bytes) -> Response:
            return Response(400, body=dump({"error": {"message": f"bad key {KEY}"}}))

    report = checked(Echoing(), SHORT, key=KEY)
    assert KEY not in json.dumps(report.as_dict())
    assert "bad key (the key)" in report.report.findings[0].message
    assert KEY not in repr(report)


def test_where_nothing_listens_the_check_ends() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with pytest.raises(RefusedError) as caught:
            asyncio.run(run(Target(base=url), SHORT))
    assert caught.value.code == "endpoint-unreachable"
    assert caught.value.message == f"{url} does not answer: Connection refused."
    assert caught.value.hint == f"curl -sS {url}/models"


def test_the_command_of_a_hint_is_quoted() -> None:
    with pytest.raises(RefusedError) as caught:
        asyncio.run(run(Target(base="http://127.0.0.1:9/$(id)"), SHORT))
    assert caught.value.hint == "curl -sS 'http://127.0.0.1:9/$(id)/models'"


def test_a_server_without_tls_is_named() -> None:
    async def ask() -> RefusedError:
        async with serving(Server()) as url:
            with pytest.raises(RefusedError) as caught:
                await run(Target(base=url.replace("http://", "https://")), SHORT)
            return caught.value

    assert "does not speak TLS" in asyncio.run(ask()).message


@pytest.mark.parametrize("status", [404, 405])
def test_where_there_is_no_chat_the_check_ends(status: int) -> None:
    refusal = refusal_of(Status(status))
    assert refusal.code == "endpoint-unreachable"
    assert f"/chat/completions answers {status}: not here" in refusal.message


def test_another_failure_of_the_first_request_is_a_finding() -> None:
    assert causes(checked(Status(500), SHORT)) == ["server-failed"]


def test_of_several_models_one_must_be_named() -> None:
    assert refusal_of(SeveralModels()).code == "endpoint-model-unknown"
    assert causes(checked(SeveralModels(), SHORT, model=Server.model)) == []


def test_a_named_model_needs_no_list() -> None:
    class Listless(Server):
        def models(self) -> Response:
            return Response(404)

    class Garbled(Server):
        def models(self) -> Response:
            return Response(200, body=b"{")

    for server in (Listless(), Garbled()):
        assert causes(checked(server, SHORT, model=Server.model)) == []
        assert refusal_of(server).code == "endpoint-model-unknown"


def test_no_answer_in_time_is_a_finding() -> None:
    report = checked(Hanging(), SHORT, timeout=0.3)
    assert causes(report) == ["answer-missing"]
    assert "no end within 0.3 seconds" in report.report.findings[0].message


def test_an_answer_larger_than_the_limit_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_LIMIT", 60_000)
    report = checked(Endless(), SHORT)
    assert causes(report) == ["answer-cut"]
    assert "larger than 60000 bytes" in report.report.findings[0].message


def test_a_budget_leaves_requests_out_and_says_so() -> None:
    budget = sum(request.estimated_tokens for request in SHORT[:3])
    report = checked(Server(), SHORT, budget=budget)
    assert report.run.skipped == ("one.stream",)
    assert [finding.code for finding in report.report] == ["budget-reached"]


def test_a_budget_for_nothing_asks_nothing() -> None:
    report = checked(Server(), SHORT, budget=1)
    assert len(report.run.skipped) == len(SHORT)
    assert report.run.sent == 1


def test_what_a_server_counts_replaces_the_estimate() -> None:
    class Generous(Server):
        def usage(self, body: Json, reply: Any) -> Json:
            return {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}

    budget = max(request.estimated_tokens for request in SHORT) * 2
    assert checked(Generous(), SHORT, budget=budget, parallel=1).run.skipped == ()
    assert checked(Server(), SHORT, budget=400, parallel=1).run.skipped


def test_every_answer_is_announced() -> None:
    seen: list[Request] = []

    async def watched() -> None:
        async with serving(Server()) as url:
            await run(Target(base=url), SHORT, seen.append)

    asyncio.run(watched())
    assert {request.name for request in seen} == {request.name for request in SHORT}
