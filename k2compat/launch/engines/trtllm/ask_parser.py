"""How the installed TensorRT-LLM reads a command line. Run by its own interpreter."""

from collections.abc import Callable


def serve() -> Callable[[list[str]], object]:
    """The parser of `trtllm-serve serve`, a click command."""
    from tensorrt_llm.commands.serve import main

    def parse(arguments: list[str]) -> None:
        main.commands["serve"].make_context("trtllm-serve serve", list(arguments))

    return parse


PARSERS: dict[str, Callable[[], Callable[[list[str]], object]]] = {"serve": serve}
