"""Stand-in servers on real sockets, and checks of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from typing import Any

from aiohttp import web

from k2compat.endpoint import Judgement, Recording, Request, judge, plan
from k2compat.endpoint.check import Work, check
from k2compat.endpoint.prompt_tokens import read_prompt_folder
from k2compat.endpoint.report import EndpointReport
from k2compat.endpoint.target import Target
from k2compat.gateway import Settings
from tests.endpoint.standin import Response, Server, dump, tokens_in
from tests.support.talking_models import talking_model


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    """The base URL of a server on a free port."""

    async def chat(request: web.Request) -> web.StreamResponse:
        answer = server.admit(request.headers) or server.handle(await request.read())
        await asyncio.sleep(answer.pause)
        if answer.is_missing and request.transport is not None:
            request.transport.close()
            return web.Response()
        headers = {"Content-Type": answer.content_type, **answer.headers}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        await response.write(answer.body)
        if answer.is_cut and request.transport is not None:
            request.transport.close()
            return response
        await response.write_eof()
        return response

    async def models(request: web.Request) -> web.StreamResponse:
        answer = server.admit(request.headers) or server.models()
        if isinstance(answer, Response):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return web.json_response(answer)

    application = web.Application(client_max_size=1 << 26)
    application.router.add_post("/v1/chat/completions", chat)
    application.router.add_get("/v1/models", models)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def checked(
    server: Server, requests: Sequence[Request] | None = None, **more: Any
) -> EndpointReport:
    """A check of a server over sockets, with `gateway=True` through the gateway too."""
    of_target = {field.name for field in fields(Target)} & more.keys()
    target = {name: more.pop(name) for name in of_target}
    through = more.pop("gateway", False)
    work = Work(requests=plan() if requests is None else requests, **more)

    async def run() -> EndpointReport:
        async with serving(server) as url:
            gateway = Settings(upstream=url) if through else None
            return await check(Target(base=url, **target), replace(work, gateway=gateway))

    return asyncio.run(run())


def recorded(server: Server, requests: Sequence[Request]) -> dict[str, Recording]:
    """What a server answers, without sockets."""
    return {
        request.name: _recording(server.handle(dump(request.body_for(server.model))))
        for request in requests
    }


def _recording(answer: Response) -> Recording:
    if answer.is_missing:
        return Recording(None, failure="the connection was closed")
    failure = "it broke off" if answer.is_cut else ""
    return Recording(answer.status, answer.content_type, answer.body, failure)


class SoundCounts:
    """Counts prompts as the sound servers do, in the place of a model's folder."""

    def counts(self, requests: Sequence[Request]) -> dict[str, int]:
        names = _COUNTED.counts(requests)
        by_name = {request.name: request for request in requests}
        return {name: tokens_in(Server().prompt(dict(by_name[name].body))) for name in names}


_COUNTED = read_prompt_folder(talking_model(tokenizer="tiktoken"))
"""Its choice of requests is the real one."""


def judged(server: Server, requests: Sequence[Request] | None = None) -> Judgement:
    requests = plan() if requests is None else requests
    counts = SoundCounts().counts(requests)
    return judge(requests, recorded(server, requests), typescript=True, prompt_tokens=counts)


def causes(judgement: Judgement | EndpointReport) -> list[str]:
    """The codes that count: no consequences, no infos."""
    return [
        finding.code
        for finding in judgement.report
        if finding.because is None and finding.severity != "info"
    ]
