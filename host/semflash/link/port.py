"""Ports: where bytes go to and come from. pyserial's errors become LinkError here and nowhere else."""

from __future__ import annotations

import termios
from types import TracebackType
from typing import Protocol

from semflash.errors import UsageError
from semflash.link.port_errors import cannot_open, takes_no_more, vanished
from semflash.link.socket_port import SCHEME, SocketPort

READ_TIMEOUT_S = 0.05
WRITE_TIMEOUT_S = 10.0
#: Most bytes of one read.
READ_BYTES = 4096
DEFAULT_BAUD = 921_600


class Port(Protocol):
    """What a session needs of a port; ``firmware.native.NativePort`` and SerialPort fit.

    ``read`` returns at once when bytes wait, else after a short time, with b"" when nothing came. It never
    blocks for long. Both raise LinkError when the port is gone.
    """

    @property
    def in_waiting(self) -> int:
        """Bytes that `read` returns without waiting."""

    def read(self, size: int = 1, /) -> bytes:
        """At most `size` bytes."""

    def write(self, data: bytes, /) -> int | None:
        """Write all bytes."""

    def close(self) -> None:
        """Give the port back."""


class SerialPort:
    """A serial port, pseudo terminal or another URL of pyserial's, through pyserial."""

    def __init__(self, url: str, baud: int = DEFAULT_BAUD) -> None:
        import serial

        self.url = url
        # termios.error, of a terminal that closes at the wrong moment, is no OSError; pyserial lets it pass.
        self._errors = (serial.SerialException, OSError, termios.error)
        options = {"baudrate": baud, "timeout": READ_TIMEOUT_S, "write_timeout": WRITE_TIMEOUT_S}
        if "://" not in url:
            options["exclusive"] = True
        try:
            self._serial = serial.serial_for_url(url, **options)
        except self._errors as error:
            raise cannot_open(url, error) from error
        except ValueError as error:
            raise UsageError(f"not a port: {error}", value=url, remedy="--port /dev/ttyACM0") from error

    @property
    def in_waiting(self) -> int:
        try:
            return int(self._serial.in_waiting)
        except self._errors as error:
            raise vanished(self.url, error) from error

    def read(self, size: int = 1, /) -> bytes:
        try:
            return bytes(self._serial.read(size))
        except self._errors as error:
            raise vanished(self.url, error) from error

    def write(self, data: bytes, /) -> int:
        import serial

        try:
            return int(self._serial.write(data) or 0)
        except serial.SerialTimeoutException as error:
            raise takes_no_more(self.url) from error
        except self._errors as error:
            raise vanished(self.url, error) from error

    def close(self) -> None:
        self._serial.close()

    def __enter__(self) -> SerialPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_port(url: str, *, baud: int = DEFAULT_BAUD) -> SerialPort | SocketPort:
    """Open a port for this program alone.

    Args:
        url: /dev/ttyACM0, /dev/pts/3, COM3 or socket://127.0.0.1:4000.
        baud: bits per second; pseudo terminals and sockets ignore it.

    Raises:
        LinkError: there is no such port, it is in use, or this user may not open it. UsageError: not a port.
    """
    if url.startswith(SCHEME):
        return SocketPort(url, READ_TIMEOUT_S, WRITE_TIMEOUT_S)
    return SerialPort(url, baud)


def read_waiting(port: Port) -> bytes:
    """What waits in the port, at most READ_BYTES; waits as long as its `read` does where nothing is there."""
    return port.read(max(1, min(port.in_waiting, READ_BYTES)))
