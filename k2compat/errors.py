"""What a caller may catch. Every error names what is wrong and the way out.

Input that k2compat judges (a checkpoint, a model's text) never raises: it ends
in findings. Errors are for what k2compat will not or cannot do at all.
"""


class K2CompatError(Exception):
    """The base of all errors k2compat raises on purpose; any other is a bug.

    Attributes:
        code: Stable, readable name; `k2compat explain CODE` tells more.
        message: One sentence that names the thing that is wrong.
        hint: The way out, where possible a command to paste.
    """

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class RefusedError(K2CompatError):
    """k2compat will not act on this input; nothing was changed."""


class WriteError(K2CompatError):
    """The system refused a write; every file holds its old bytes or its new ones."""


class HubError(K2CompatError):
    """The Hub (or its local cache, when offline) did not give what was asked for."""
