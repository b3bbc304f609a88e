"""How the made-up engine reads a command line."""

import argparse
from collections.abc import Callable


def run() -> Callable[[list[str]], object]:
    """The parser of `quickserve run`."""
    parser = argparse.ArgumentParser(prog="quickserve run")
    parser.add_argument("model")
    parser.add_argument("--listen")
    return parser.parse_args


PARSERS: dict[str, Callable[[], Callable[[list[str]], object]]] = {"run": run}
