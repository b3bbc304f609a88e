"""What a model writes when it calls a tool, cut off as servers cut it."""


def raw_output() -> str:
    """Content and one call; its end marker is missing, as when a length limit was met."""
    return (
        "Let me look at the weather."
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
        '<|tool_call_argument_begin|>{"city": "北京"}<|tool_calls_section_end|>'
    )
