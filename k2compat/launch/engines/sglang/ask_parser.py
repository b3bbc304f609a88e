"""How the installed SGLang reads a command line. Run by SGLang's own interpreter."""

import argparse
from collections.abc import Callable


def launch_server() -> Callable[[list[str]], object]:
    """The parser of `python -m sglang.launch_server`."""
    from sglang.srt.server_args import ServerArgs

    def parse(arguments: list[str]) -> None:
        parser = argparse.ArgumentParser(prog="sglang.launch_server")
        ServerArgs.add_cli_args(parser)
        parser.parse_args(arguments)

    return parse


def launch_router() -> Callable[[list[str]], object]:
    """The parser of `python -m sglang_router.launch_router`."""
    from sglang_router.launch_router import parse_router_args

    return parse_router_args


PARSERS: dict[str, Callable[[], Callable[[list[str]], object]]] = {
    "sglang.launch_server": launch_server,
    "sglang_router.launch_router": launch_router,
}
