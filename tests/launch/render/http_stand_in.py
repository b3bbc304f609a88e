"""A server that gives one answer to every request."""

import socket
import threading
from types import TracebackType
from typing import Self


class HttpStandIn:
    """Listens on loopback.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, status: bytes) -> None:
        """Listen, and answer with a status such as `200 OK`."""
        self._answer = b"HTTP/1.0 " + status + b"\r\nContent-Length: 0\r\n\r\n"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        """Start to answer."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                peer.recv(4096)
                peer.sendall(self._answer)
