"""The names that SGLang's command line offers."""

TOOL_CALL_PARSER_NAMES = ["kimi_k2"]
