"""One check from end to end: ask, judge, and where wanted ask again through the gateway."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.client import Run, Target, run
from k2compat.endpoint.prompt_tokens import PromptCounter
from k2compat.endpoint.report import EndpointReport, Repairs
from k2compat.endpoint.verdicts.judge import Judgement, judge
from k2compat.gateway import Options, Settings, engine_of_models, reasoning_mode
from k2compat.gateway.service import make_gateway, start_runner


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be checked beside the target.

    Attributes:
        requests: what is asked.
        counter: counts prompts exactly; None without the model's folder.
        folder: the model's folder, for the gateway.
        through_gateway: whether the same is asked again through the gateway.
    """

    requests: Sequence[Request]
    counter: PromptCounter | None = None
    folder: Path | None = None
    through_gateway: bool = False


async def check(
    target: Target, work: Work, on_answer: Callable[[Request], None] = lambda _request: None
) -> EndpointReport:
    """Check an endpoint.

    Args:
        target: where to.
        work: what is checked.
        on_answer: called after each answer.

    Raises:
        RefusedError: the endpoint cannot be asked at all, or the folder cannot be used.
    """
    direct = await run(target, work.requests, on_answer)
    judgement = _judged(direct, work)
    repairs = None
    if work.through_gateway:
        async with _gateway(target, direct, work) as url:
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
async def _gateway(target: Target, direct: Run, work: Work) -> AsyncIterator[str]:
    """A gateway before the target, on a free port of this machine; its base URL."""
    settings = Settings(
        upstream=target.base,
        listen="127.0.0.1:0",
        engine=engine_of_models(direct.models),
        folder=None if work.folder is None else str(work.folder),
        first_byte_timeout=target.timeout,
        gap_timeout=target.timeout,
    )
    runner = await start_runner(make_gateway(settings), settings)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()
