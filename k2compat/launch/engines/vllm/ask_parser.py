"""How the installed vLLM reads a command line. Run by vLLM's own interpreter, not imported here."""

from collections.abc import Callable


def serve() -> Callable[[list[str]], object]:
    """The parser of `vllm serve`, from the place where each version has it, the newest first."""
    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:
        from vllm.utils import FlexibleArgumentParser
    try:
        from vllm.entrypoints.common.cli_args import make_arg_parser
    except ImportError:
        from vllm.entrypoints.openai.cli_args import make_arg_parser

    def parse(arguments: list[str]) -> None:
        make_arg_parser(FlexibleArgumentParser(prog="vllm serve")).parse_args(arguments)

    return parse


def dynamo() -> Callable[[list[str]], object]:
    """The parser of `python -m dynamo.vllm`, which hands on to vLLM's."""
    from dynamo.vllm.args import parse_args

    return parse_args


PARSERS: dict[str, Callable[[], Callable[[list[str]], object]]] = {
    "serve": serve,
    "dynamo.vllm": dynamo,
}
