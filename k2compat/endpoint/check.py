"""One whole check: ask, judge, and on demand ask again through the gateway."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import msgspec
from aiohttp import web

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.client import run
from k2compat.endpoint.prompt_tokens import PromptCounter
from k2compat.endpoint.report import EndpointReport, Repairs
from k2compat.endpoint.target import Run, Target
from k2compat.endpoint.verdicts.judge import Judgement, judge
from k2compat.gateway import Engine, Options, Settings, engine_of_models, reasoning_mode
from k2compat.gateway.service import make_gateway, start_runner


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work of one check.

    Attributes:
        requests: the requests.
        counter: counts prompts exactly; None without the model's folder.
        gateway: the settings of a gateway for a second run; None asks only once.
    """

    requests: Sequence[Request]
    counter: PromptCounter | None = None
    gateway: Settings | None = None


async def check(
    target: Target, work: Work, on_answer: Callable[[Request], None] = lambda _request: None
) -> EndpointReport:
    """Check an endpoint.

    Args:
        target: the endpoint.
        work: the requests and how they are judged.
        on_answer: called after each answer.

    Raises:
        RefusedError: the endpoint cannot be asked at all, or the folder cannot be used.
    """
    direct = await run(target, work.requests, on_answer)
    judgement = _judged(direct, work)
    repairs = None
    if work.gateway is not None:
        async with _serving(work.gateway, engine_of_models(direct.models)) as url:
            inner = replace(target, base=url, model=direct.model)
            through = await run(inner, work.requests, on_answer)
        repairs = Repairs(judgement.report, _judged(through, work).report)
    engine = engine_of_models(direct.models)
    return EndpointReport(target.base, engine, direct, judgement, repairs)


def _judged(answered: Run, work: Work) -> Judgement:
    counts = work.counter.counts(work.requests) if work.counter else None
    named = reasoning_mode({"model": answered.model}, Options()) == "prefilled"
    return judge(work.requests, answered.recordings, typescript=named, prompt_tokens=counts)


@asynccontextmanager
async def _serving(settings: Settings, engine: Engine) -> AsyncIterator[str]:
    """A gateway on a free port of this machine; its base URL."""
    settings = msgspec.structs.replace(
        settings,
        listen="127.0.0.1:0",
        key_file=None,
        engine=engine if settings.engine == "auto" else settings.engine,
    )
    runner = await start_runner(make_gateway(settings), settings)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()
