"""The codes of problems. Each is explained in `codes.toml`, beside this file."""

from typing import Final

CALL_HEADER_BROKEN: Final = "call-header-broken"
CALL_HEADER_CUT: Final = "call-header-cut"
CALL_ID_INVALID: Final = "call-id-invalid"
CALL_ID_REPAIRED: Final = "call-id-repaired"
CALL_TOOL_UNKNOWN: Final = "call-tool-unknown"
CALL_ARGUMENTS_DROPPED: Final = "call-arguments-dropped"
CALL_END_MISSING: Final = "call-end-missing"
TOOL_UNDECLARED: Final = "tool-undeclared"
ARGUMENT_MARKER_REPEATED: Final = "argument-marker-repeated"
ARGUMENTS_NOT_OBJECT: Final = "arguments-not-object"
SECTION_BEGIN_MISSING: Final = "section-begin-missing"
TEXT_BETWEEN_CALLS: Final = "text-between-calls"
TEXT_AFTER_CALLS: Final = "text-after-calls"
TEXT_AFTER_TURN: Final = "text-after-turn"
THINK_MARKER_STRAY: Final = "think-marker-stray"
