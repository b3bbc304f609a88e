"""The only module with sockets: it sends requests and records the answers.

It connects only to the base URL: it follows no redirect, uses no proxy of the environment, and
sends the key only with these requests.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import aiohttp

from k2compat.endpoint.asking.plan import FIRST
from k2compat.endpoint.asking.request import CHAT, Request
from k2compat.endpoint.connection_errors import failure_text
from k2compat.endpoint.reading.answer import Recording
from k2compat.endpoint.reading.errors import error_text
from k2compat.endpoint.spending import Spending
from k2compat.endpoint.target import MODELS, Run, Target, model_of
from k2compat.errors import RefusedError
from k2compat.gateway import InvalidJsonError, decode, encode
from k2compat.shell_line import shell_line

ANSWER_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of an answer that are read."""
_CONNECT_SECONDS: Final = 10.0
_REMOVED_KEY: Final = b"(the key)"


async def run(
    target: Target,
    requests: Sequence[Request],
    on_answer: Callable[[Request], None] = lambda _request: None,
) -> Run:
    """Send the requests.

    The first one is sent alone: if it gets no answer, no other request is sent.

    Args:
        target: the endpoint.
        requests: the requests.
        on_answer: called after each answer.

    Raises:
        RefusedError: endpoint-unreachable, endpoint-key-refused, endpoint-redirected or
            endpoint-model-unknown.
    """
    begin = asyncio.get_running_loop().time()
    limits = aiohttp.ClientTimeout(total=target.timeout, sock_connect=_CONNECT_SECONDS)
    headers = {} if target.key is None else {"Authorization": f"Bearer {target.key}"}
    async with aiohttp.ClientSession(
        timeout=limits,
        headers=headers,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        # A connection that a server closes while it is idle fails the next request, and a check
        # must not repeat requests: llama.cpp closes them after some answers.
        connector=aiohttp.TCPConnector(limit=target.parallel, force_close=True),
    ) as session:
        sender = _Sender(session, target, on_answer)
        models = await sender.models()
        model = target.model or model_of(models, target.base)
        recordings = await sender.all(model, requests)
    return Run(
        model=model,
        models=models,
        recordings=recordings,
        skipped=tuple(r.name for r in requests if r.name not in recordings),
        sent=sender.sent,
        seconds=asyncio.get_running_loop().time() - begin,
    )


class _Sender:
    """Sends to one target."""

    def __init__(
        self, session: aiohttp.ClientSession, target: Target, on_answer: Callable[[Request], None]
    ) -> None:
        self.sent = 0
        self._session = session
        self._target = target
        self._on_answer = on_answer
        self._spending = Spending(target.budget)

    async def models(self) -> Any:
        """Ask for the list of models; None where the answer is not JSON."""
        recording = await self._send("GET", MODELS, None)
        _refuse_useless(recording, self._target.base)
        try:
            return decode(recording.body) if recording.status == 200 else None
        except InvalidJsonError:
            return None

    async def all(self, model: str, requests: Sequence[Request]) -> dict[str, Recording]:
        recordings: dict[str, Recording] = {}
        open_requests = asyncio.Semaphore(self._target.parallel)

        async def ask(request: Request) -> None:
            async with open_requests:
                if not self._spending.allows(request):
                    return
                body = encode(request.body_for(model))
                recording = await self._send("POST", CHAT, body)
                self._spending.take(request, recording)
                recordings[request.name] = recording
                self._on_answer(request)

        first = [request for request in requests if request.name == FIRST]
        for request in first:
            await ask(request)
            if request.name in recordings:
                _refuse_useless(recordings[request.name], self._target.base, is_chat=True)
        await asyncio.gather(*(ask(request) for request in requests if request not in first))
        return recordings

    async def _send(self, method: str, path: str, body: bytes | None) -> Recording:
        recording = await self._exchange(method, path, body)
        if self._target.key is None:
            return recording
        # Servers quote a key that they refuse, and reports are pasted into issues.
        return replace(
            recording, body=recording.body.replace(self._target.key.encode(), _REMOVED_KEY)
        )

    async def _exchange(self, method: str, path: str, body: bytes | None) -> Recording:
        self.sent += 1
        received = bytearray()
        status, content_type = None, ""
        try:
            async with self._session.request(
                method,
                self._target.base + path,
                data=body,
                headers={"Content-Type": "application/json"} if body else {},
                allow_redirects=False,
            ) as response:
                status, content_type = response.status, response.content_type
                if "Content-Type" not in response.headers:
                    content_type = ""
                async for piece in response.content.iter_any():
                    received += piece
                    if len(received) > ANSWER_LIMIT:
                        failure = f"it is larger than {ANSWER_LIMIT} bytes"
                        return Recording(status, content_type, bytes(received), failure)
        except TimeoutError:
            failure = f"no end within {self._target.timeout:g} seconds"
        except aiohttp.ClientError as error:
            failure = failure_text(error)
        else:
            failure = ""
        return Recording(status, content_type, bytes(received), failure)


def _refuse_useless(recording: Recording, base: str, *, is_chat: bool = False) -> None:
    """End the check if no other request can get an answer."""
    status = recording.status
    if status is None:
        raise RefusedError(
            "endpoint-unreachable",
            f"{base} does not answer: {recording.failure}.",
            hint=shell_line("curl", "-sS", f"{base}{MODELS}"),
        )
    words = error_text(recording.body)[:200]
    if status in (401, 403):
        raise RefusedError(
            "endpoint-key-refused",
            f"{base} answers {status}: {words}",
            hint="Give the endpoint's key in a file: --key-file FILE",
        )
    if 300 <= status < 400:
        raise RefusedError(
            "endpoint-redirected",
            f"{base} answers with a redirect ({status}).",
            hint="Give the address that it redirects to, if that is the server you mean.",
        )
    if is_chat and status in (404, 405):
        raise RefusedError(
            "endpoint-unreachable",
            f"{base}{CHAT} answers {status}: {words}",
            hint="Give the base URL of the chat API, and the model's name (--model).",
        )
