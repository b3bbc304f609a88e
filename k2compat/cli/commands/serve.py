"""k2compat serve: the gateway in front of a server that cannot be changed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from k2compat.cli.output import Outcome, Output
from k2compat.cli.paths import PATH
from k2compat.gateway import ENGINES, STEP_NAMES, Settings, read_settings, refuse_without_extra

if TYPE_CHECKING:
    from k2compat.gateway.http import Gateway


# An exchange makes and frees about a thousand objects, and few of them in circles. At Python's
# default of 700 the collector runs for every one of them: a tenth of a request's CPU time.
_GC_THRESHOLD = 20_000

_F = TypeVar("_F", bound=Callable[..., Any])


def _seconds(name: str, default: int, text: str) -> Callable[[_F], _F]:
    help_text = f"{text} [default: {default}]"
    return click.option(name, type=click.FloatRange(min=0), metavar="SECONDS", help=help_text)


def _size(name: str, default: str, text: str) -> Callable[[_F], _F]:
    return click.option(name, metavar="SIZE", help=f"{text} [default: {default}]")


@click.command("serve")
@click.option("--upstream", metavar="URL", help="The server's API: http://node7:8000/v1.")
@click.option("--model", metavar="NAME", help="The model's name upstream; replaces a client's.")
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    help="The address on which to listen. [default: 127.0.0.1:8100]",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", *ENGINES]),
    help="The server's engine; auto asks its /v1/models. [default: auto]",
)
@click.option(
    "--reasoning",
    type=click.Choice(["auto", "off", "tagged", "prefilled"]),
    help="How the model writes its thoughts; auto decides by its name. [default: auto]",
)
@click.option("--folder", metavar="MODEL", help="The model's folder, for its markers' token ids.")
@click.option(
    "--skip",
    type=click.Choice(STEP_NAMES),
    metavar="STEP",
    multiple=True,
    help=f"A request step to leave out; may be repeated. Steps: {', '.join(STEP_NAMES)}.",
)
@click.option(
    "--marker-text",
    type=click.Choice(["escape", "pass", "refuse"]),
    help="The treatment of text that spells a marker. [default: escape]",
)
@click.option(
    "--recover-stripped",
    is_flag=True,
    default=None,
    help="Read functions.NAME:N{…} at the end of the content as a call.",
)
@click.option(
    "--token-ids",
    type=click.Choice(["auto", "on", "off"]),
    help="Ask for token ids, which show markers that the text lost; auto asks if the server "
    "drops them. [default: auto]",
)
@click.option(
    "--reasoning-field",
    type=click.Choice(["reasoning_content", "reasoning", "both"]),
    help="The answer's field for thoughts. [default: reasoning_content]",
)
@_size("--remember-thoughts", "0", "Keep thoughts for clients that drop them.")
@click.option("--key-file", metavar="FILE", help="The keys that clients may use, one a line.")
@click.option("--upstream-key-file", metavar="FILE", help="The key for the server.")
@click.option("--open", is_flag=True, default=None, help="Allow other machines without a key.")
@_seconds("--connect-timeout", 10, "To connect to the server.")
@_seconds("--header-timeout", 30, "For a client to send its headers.")
@_seconds("--body-timeout", 60, "For a client to send its body.")
@_seconds("--first-byte-timeout", 600, "Until the server begins its answer.")
@_seconds("--gap-timeout", 300, "Between two pieces of the server's answer.")
@_seconds("--heartbeat", 15, "Between comments in a silent stream; 0 sends none.")
@_seconds("--grace", 300, "For streams to finish after SIGTERM.")
@_size("--body-limit", "32MiB", "The largest request.")
@_size("--event-limit", "8MiB", "The largest event from the server.")
@_size("--answer-limit", "256MiB", "The largest answer from the server.")
@click.option(
    "--max-streams",
    type=click.IntRange(min=1),
    help="Requests served at the same time; more get 503. [default: 1000]",
)
@click.option("--config", type=PATH, metavar="FILE", help="A TOML file with the flags' names.")
@click.option("--check-config", is_flag=True, help="Print the settings and exit.")
@click.option(
    "--check", is_flag=True, help="Check the server, directly and through the gateway, and exit."
)
@click.pass_obj
def command(
    output: Output, /, config: Path | None, check_config: bool, check: bool, **flags: Any
) -> Outcome:
    """Serve Kimi-K2 through a server that cannot be changed.

    Requests get native call ids, thoughts, text and arguments as the model's template needs them.
    Answers are read in any form that the server sends. Flags override the variables
    K2COMPAT_SERVE_…, and these override --config.
    """
    refuse_without_extra()
    variable = os.environ.get("K2COMPAT_SERVE_CONFIG")
    path = config or (Path(variable) if variable else None)
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    settings = read_settings(given, os.environ, path)
    from k2compat.gateway.service import make_gateway

    gateway = make_gateway(settings)  # this reads the files that the settings name
    if check_config:
        return Outcome({"settings": settings.shown()}, _shown(settings))
    if check:
        return _check(output, settings)
    _run(gateway, settings)
    return Outcome({}, "")


def _check(output: Output, settings: Settings) -> Outcome:
    """The faults of the upstream, and the steps of the gateway that repair them."""
    from k2compat.cli.endpoint_check import BUDGET, outcome_of, run_check
    from k2compat.endpoint import Target, base_url, plan, read_key
    from k2compat.endpoint.check import Work

    key = settings.upstream_key
    if settings.upstream_key_file is not None:
        key = read_key(Path(settings.upstream_key_file))
    target = Target(
        base=base_url(settings.upstream),
        model=settings.model,
        key=key,
        timeout=settings.first_byte_timeout,
        budget=BUDGET,
    )
    return outcome_of(run_check(output, target, Work(requests=plan(), gateway=settings)))


def _run(gateway: "Gateway", settings: Settings) -> None:
    import asyncio
    import gc
    import logging
    import sys

    from k2compat.gateway.record import LOGGER
    from k2compat.gateway.service import serve

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    # No line holds these, and finding them takes half the time of a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # What was imported stays: the collector need not look at it again for each few requests.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    try:
        asyncio.run(serve(gateway, settings))
    finally:
        LOGGER.removeHandler(handler)


def _shown(settings: Settings) -> str:
    """The settings in the form of a file for --config."""
    import json

    shown = settings.shown()
    key = shown.pop("upstream_key")
    lines = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in shown.items()
        if value is not None
    ]
    return "\n".join(lines if key is None else [*lines, f"# upstream_key {key}"])
