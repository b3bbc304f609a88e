"""SGLang's entry point: registers the tool-call parser.

SGLang gives native ids to the calls of the parser named `kimi_k2` alone, and
`call_…` to those of any other. So K2COMPAT_REPLACE_KIMI_K2=1 replaces the class of
that name; without it the parser is registered as `k2compat`, for a trial.
"""

from types import ModuleType
from typing import Final

from .choice import ENGINE_NAME, NAME, replaces_the_engine_s
from .late import when_imported

# Importing it takes seconds, so SGLang keeps the names apart for its command line.
_PARSERS: Final = "sglang.srt.function_call.function_call_parser"
_NAMES: Final = "sglang.srt.function_call.parser_names"


def register() -> None:
    """Register the parser, once SGLang imports its own. Never raises."""
    when_imported(_PARSERS, _register)
    when_imported(_NAMES, _offer)


def _name() -> str:
    return ENGINE_NAME if replaces_the_engine_s() else NAME


def _register(module: ModuleType) -> None:
    from .sglang_detector import K2Detector

    module.FunctionCallParser.ToolCallParserEnum[_name()] = K2Detector


def _offer(module: ModuleType) -> None:
    if _name() not in module.TOOL_CALL_PARSER_NAMES:
        module.TOOL_CALL_PARSER_NAMES.append(_name())
