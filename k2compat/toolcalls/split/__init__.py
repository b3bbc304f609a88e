"""Reads answers that a server has already split into content, reasoning and native calls.

A server's own parser makes fields of the model's text, and gets them wrong in
its own ways: calls stay in the content or in the reasoning, or come twice.
`SplitReader` undoes the split. It rebuilds the text that the model wrote and
reads it with `StreamParser`, so that where the server cut makes no difference:

    >>> from k2compat.toolcalls import SplitReader
    >>> reader = SplitReader()
    >>> events = reader.feed(
    ...     reasoning="The user wants the weather.",
    ...     content="<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{}",
    ... )
    >>> events += reader.finish("stop")
    >>> reader.message.reasoning
    'The user wants the weather.'
    >>> reader.message.tool_calls[0].id
    'functions.weather:0'
"""

from .reader import SplitReader, read_answer

__all__ = ["SplitReader", "read_answer"]
