"""Why no answer came, in words of the operating system and without aiohttp's settings."""

import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from k2compat.endpoint.connection_errors import failure_text

KEY = ConnectionKey("node7", 8000, is_ssl=False, ssl=True, proxy=None, proxy_auth=None,
                    proxy_headers_hash=None, server_hostname=None)  # fmt: skip


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] (_ssl.c:1006)")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            aiohttp.ClientConnectorError(KEY, OSError(111, "Connect call failed ('::1', 8000)")),
            "Connection refused",
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")),
            "Name or service not known",
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError("Multiple exceptions: a, b")),
            "Multiple exceptions: a, b",
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, untrusted()),
            "its certificate is refused: self-signed certificate",
        ),
        (
            aiohttp.ServerDisconnectedError(),
            "the server closes the connection without an answer",
        ),
        (aiohttp.ClientPayloadError("cut"), "cut"),
        (aiohttp.ClientPayloadError(), "ClientPayloadError"),
    ],
)
def test_each_failure_has_words(error: aiohttp.ClientError, text: str) -> None:
    assert failure_text(error) == text
