"""The gateway as a process: listen, learn the engine, serve, and stop on a signal."""

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from k2compat.errors import RefusedError
from k2compat.gateway.http import Gateway, GatewayRunner
from k2compat.gateway.model_folder import with_folder
from k2compat.gateway.options import Options
from k2compat.gateway.record import log
from k2compat.gateway.settings import Settings, listen_address, read_keys

_ASK_AGAIN: Final = 10.0
"""Seconds between two questions to the upstream while it cannot serve."""
_POLL: Final = 0.02


def make_gateway(settings: Settings) -> Gateway:
    """The gateway of the settings, with the files that they name read.

    Raises:
        RefusedError: a key file or the model's folder cannot be used.
    """
    upstream_key: bytes | None = None
    if settings.upstream_key_file is not None:
        upstream_key = read_keys(settings.upstream_key_file)[0]
    elif settings.upstream_key is not None:
        upstream_key = settings.upstream_key.encode()
    keys = () if settings.key_file is None else read_keys(settings.key_file)
    return Gateway(settings, options_of(settings), keys=keys, upstream_key=upstream_key)


def options_of(settings: Settings) -> Options:
    """The options of every exchange.

    Raises:
        RefusedError: the model's folder cannot be used.
    """
    options = Options(
        engine="openai" if settings.engine == "auto" else settings.engine,
        model=settings.model,
        reasoning=settings.reasoning,
        skip=frozenset(settings.skip),
        marker_text=settings.marker_text,
        recover_stripped=settings.recover_stripped,
        token_ids=settings.token_ids,
        reasoning_field=settings.reasoning_field,
        event_limit=settings.event_limit,
        answer_limit=settings.answer_limit,
    )
    return with_folder(options, Path(settings.folder)) if settings.folder else options


async def serve(
    gateway: Gateway, settings: Settings, on_listening: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; then let the streams finish.

    Args:
        gateway: what serves.
        settings: where to listen, and how long the streams have.
        on_listening: called with ADDRESS:PORT once connections are accepted.

    Raises:
        RefusedError: the address cannot be listened on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = await start_runner(gateway, settings)
    learning = asyncio.create_task(_wait_until_ready(gateway, settings))
    try:
        site = await _listen(runner, settings)
        address = "{}:{}".format(*runner.addresses[0][:2])
        log("listening", address=address, upstream=settings.upstream)
        if on_listening is not None:
            on_listening(address)
        await stop.wait()
        await drain(gateway, site, settings.grace)
    finally:
        learning.cancel()
        await runner.cleanup()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def start_runner(gateway: Gateway, settings: Settings) -> GatewayRunner:
    """The gateway, ready for a site to listen with."""
    runner = gateway.runner(header_timeout=settings.header_timeout)
    await runner.setup()
    return runner


async def drain(gateway: Gateway, site: web.TCPSite, grace: float) -> None:
    """Take no new work, let the streams finish, and end those that do not.

    Connections are still accepted: health checks and clients get an answer with the reason.
    """
    gateway.draining = True
    log("stopping", streams=gateway.streams)
    loop = asyncio.get_running_loop()
    end = loop.time() + grace
    while gateway.streams and loop.time() < end:
        await asyncio.sleep(_POLL)
    gateway.stop_streams()
    end = loop.time() + 1.0
    while gateway.streams and loop.time() < end:
        await asyncio.sleep(_POLL)
    await site.stop()
    gateway.flush_log()
    log("stopped", streams=gateway.streams)


async def _listen(runner: GatewayRunner, settings: Settings) -> web.TCPSite:
    host, port = listen_address(settings.listen)
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        raise RefusedError(
            "serve-settings",
            f"--listen {settings.listen} cannot be used: {error.strerror}.",
            hint=f"ss -ltnp 'sport = :{port}'",
        ) from None
    return site


async def _wait_until_ready(gateway: Gateway, settings: Settings) -> None:
    """Ask the upstream until it can serve and its engine is known; log what changes."""
    shown: str | None = None
    while True:
        reason = await gateway.readiness.ask()
        if reason != shown:
            shown = reason
            if reason:
                log("waiting", logging.WARNING, upstream=settings.upstream, reason=reason)
            else:
                _log_ready(gateway)
        if not reason and gateway.readiness.settled:
            return
        await asyncio.sleep(_ASK_AGAIN)


def _log_ready(gateway: Gateway) -> None:
    found, awaits_key = gateway.readiness.engine, gateway.readiness.awaits_key
    log("ready", engine=gateway.options.engine, found=found, awaits_key=awaits_key)
