"""How the installed KTransformers reads a command line. Run by its own interpreter."""

import argparse
import sys
from collections.abc import Callable


def launch_server() -> Callable[[list[str]], object]:
    """The parser of SGLang's server, as sglang-kt has it."""
    from sglang.srt.server_args import ServerArgs

    def parse(arguments: list[str]) -> None:
        parser = argparse.ArgumentParser(prog="sglang.launch_server")
        ServerArgs.add_cli_args(parser)
        parser.parse_args(arguments)

    return parse


def kt_run() -> Callable[[list[str]], object]:
    """The parser of `kt run`, a click command."""
    from kt_kernel.cli.commands.run import run

    def parse(arguments: list[str]) -> None:
        run.make_context("kt run", list(arguments))

    return parse


def server_main() -> Callable[[list[str]], object]:
    """The parser of the old server, which reads `sys.argv`."""
    from ktransformers.server.args import ArgumentParser
    from ktransformers.server.config.config import Config

    def parse(arguments: list[str]) -> None:
        sys.argv = ["main.py", *arguments]
        ArgumentParser(Config()).parse_args()

    return parse


PARSERS: dict[str, Callable[[], Callable[[list[str]], object]]] = {
    "sglang.launch_server": launch_server,
    "kt run": kt_run,
    "server.main": server_main,
}
