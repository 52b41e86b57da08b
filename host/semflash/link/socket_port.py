"""``socket://host:port`` as a port: whatever has come is taken in one call.

pyserial's own handler says that one byte waits where a thousand do, so that its users read byte by byte.
"""

from __future__ import annotations

import select
import socket
from types import TracebackType
from urllib.parse import urlsplit

from semflash.errors import UsageError
from semflash.link.port_errors import cannot_open, takes_no_more, vanished

SCHEME = "socket://"
CONNECT_TIMEOUT_S = 5.0
_BLOCK = 65536


class SocketPort:
    """A TCP connection to a device, or to what stands in for one.

    Args:
        url: socket://host:port.
        read_timeout_s: how long `read` waits for the first byte. write_timeout_s: until a byte is taken.

    Raises:
        UsageError: it names no host and port. LinkError: nobody listens there.
    """

    def __init__(self, url: str, read_timeout_s: float, write_timeout_s: float) -> None:
        self.url, self._read_timeout_s = url, read_timeout_s
        self._waiting = bytearray()
        try:
            self._socket = socket.create_connection(_address(url), timeout=CONNECT_TIMEOUT_S)
        except OSError as error:
            raise cannot_open(url, error) from error
        self._socket.settimeout(write_timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read now. Raises PortVanishedError: none is left, and the other side ended."""
        self._receive(0.0)
        return len(self._waiting)

    def read(self, size: int = 1, /) -> bytes:
        """At most `size` bytes; waits a short time for the first."""
        self._receive(self._read_timeout_s)
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        return taken

    def write(self, data: bytes, /) -> int:
        """Write all bytes."""
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise takes_no_more(self.url) from error
        except OSError as error:
            raise vanished(self.url, error) from error
        return len(data)

    def close(self) -> None:
        """Give the connection back."""
        self._socket.close()

    def __enter__(self) -> SocketPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self, timeout_s: float) -> None:
        """Take what came, unless bytes wait already: what was sent before the end is read before it."""
        if self._waiting:
            return
        try:
            if not select.select([self._socket], [], [], timeout_s)[0]:
                return
            data = self._socket.recv(_BLOCK)
        except (OSError, ValueError) as error:  # ValueError: the socket is closed
            raise vanished(self.url, error) from error
        if not data:
            raise vanished(self.url, "the other side has closed the connection")
        self._waiting += data


def _address(url: str) -> tuple[str, int]:
    """(host, port) of socket://host:port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        rest = parts.path.strip("/") + parts.query + parts.fragment
    except ValueError:
        host, port, rest = None, None, ""
    if not host or port is None or rest:
        raise UsageError("not a port", value=url, remedy="--port socket://127.0.0.1:4000")
    return host, port
