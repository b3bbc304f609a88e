"""Short reasons for a missing answer: aiohttp's messages repeat the address and its settings."""

import os
import socket
from typing import Final

import aiohttp

_NO_TLS: Final = "the server there does not speak TLS; is its URL http:// instead of https://?"


def failure_text(error: aiohttp.ClientError) -> str:
    """The reason, as part of a sentence.

    Args:
        error: the exception of a request.
    """
    match error:
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            return f"its certificate is refused: {getattr(cause, 'verify_message', cause)}"
        case aiohttp.ClientConnectorSSLError():
            return _NO_TLS
        case aiohttp.ClientConnectorError():
            return _reason(error.os_error)
        case aiohttp.ServerDisconnectedError():
            return "the server closes the connection without an answer"
    return str(error) or type(error).__name__


def _reason(error: OSError) -> str:
    # The numbers of socket.gaierror are those of getaddrinfo.
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)
