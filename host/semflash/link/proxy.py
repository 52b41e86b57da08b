"""A proxy that puts a bad line between a host and a device: a pseudo terminal or a TCP port with faults
behind it.

    with Proxy(open_port("/dev/ttyACM0"), FaultSpec.parse("flip=1e-4;seed=1"), listen="tcp:127.0.0.1:0") as
    proxy:
        session = Session(open_port(proxy.url), ...)

By hand: ``python -m semflash.hil.proxy``, which holds the board's lock. Here nobody knows of boards: who
opens a board's port holds its lock.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol

from semflash.errors import LinkError, SemflashError, UsageError
from semflash.link.errors import PortVanishedError
from semflash.link.faults.log import FaultLog
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.port import Port

_POLL_S = 0.005
_BLOCK = 4096
_BURST = 64
#: A host that takes no bytes for so long has hung up: it must not hold the proxy for ever.
_HOST_TIMEOUT_S = 2.0


class Endpoint(Protocol):
    """Where the host attaches."""

    url: str

    def receive(self, timeout_s: float) -> bytes:
        """Bytes of the host; b"": none within the time."""

    def send(self, data: bytes) -> None:
        """Bytes to the host; lost where none is attached."""

    def hang_up(self) -> None:
        """The host sees its port vanish."""

    def come_back(self) -> None:
        """A host may attach again."""

    def close(self) -> None:
        """No more."""


class PtyEndpoint:
    """A pseudo terminal; `link`, a symbolic link to it, keeps its name when the terminal is another one."""

    def __init__(self, link: Path | None = None) -> None:
        self._link = link
        self._master = -1
        self.url = ""
        self.come_back()

    def come_back(self) -> None:
        if self._link is not None:
            self._remove_link(self._link)
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.url = os.ttyname(slave)
        os.close(slave)
        if self._link is not None:
            self._link.symlink_to(self.url)
            self.url = str(self._link)

    def hang_up(self) -> None:
        os.close(self._master)
        self._master = -1

    def receive(self, timeout_s: float) -> bytes:
        if not select.select([self._master], [], [], timeout_s)[0]:
            return b""
        try:
            return os.read(self._master, _BLOCK)
        except OSError:  # nobody has the other end open
            threading.Event().wait(timeout_s)
            return b""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # full and nobody reads: a serial port loses bytes too
            os.write(self._master, data)

    def close(self) -> None:
        if self._master >= 0:
            self.hang_up()
        if self._link is not None:
            self._remove_link(self._link)

    @staticmethod
    def _remove_link(link: Path) -> None:
        """Remove a link of an earlier run, and nothing else."""
        if link.exists() and not link.is_symlink():
            raise UsageError(
                "there is a file where the proxy's link should be",
                value=link,
                remedy="name another: pty:LINK",
            )
        link.unlink(missing_ok=True)


class TcpEndpoint:
    """A TCP port for one host at a time, on an address of this machine unless told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._server = socket.create_server((host, port))
        self._server.setblocking(False)
        self._client: socket.socket | None = None
        self.url = f"socket://{host}:{self._server.getsockname()[1]}"

    def come_back(self) -> None:
        while True:  # who attached while the port was away
            try:
                self._server.accept()[0].close()
            except BlockingIOError:
                return

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def receive(self, timeout_s: float) -> bytes:
        source = self._client or self._server
        if not select.select([source], [], [], timeout_s)[0]:
            return b""
        if self._client is None:
            with contextlib.suppress(OSError):  # it went away again
                self._client = self._server.accept()[0]
                self._client.settimeout(_HOST_TIMEOUT_S)
                self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return b""
        try:
            data = self._client.recv(_BLOCK)
        except OSError:
            data = b""
        if not data:
            self.hang_up()
        return data

    def send(self, data: bytes) -> None:
        if self._client is not None:
            try:
                self._client.sendall(data)
            except OSError:
                self.hang_up()

    def close(self) -> None:
        self.hang_up()
        self._server.close()


def endpoint(listen: str) -> Endpoint:
    """From "pty", "pty:LINK" or "tcp:HOST:PORT" (port 0: any)."""
    kind, _, rest = listen.partition(":")
    if kind == "pty":
        return PtyEndpoint(Path(rest) if rest else None)
    host, _, port = rest.rpartition(":")
    if kind == "tcp" and host and port.isdecimal() and int(port) < 65536:
        try:
            return TcpEndpoint(host, int(port))
        except OSError as error:
            raise LinkError(
                f"cannot listen: {error.strerror}", value=listen, remedy="another port, or 0"
            ) from error
    raise UsageError("a proxy listens on pty, pty:LINK or tcp:HOST:PORT", value=listen)


class Proxy:
    """Runs the line in a thread from `with` to its end. `port` stays the caller's.

    Args:
        listen: see :func:`endpoint`. log, reset: see :class:`FaultyPort`.
    """

    def __init__(
        self,
        port: Port,
        spec: FaultSpec,
        *,
        listen: str = "tcp:127.0.0.1:0",
        log: FaultLog | None = None,
        reset: Callable[[], None] | None = None,
    ) -> None:
        self.faulty = FaultyPort(port, spec, log=log, reset=reset)
        self._again = self.faulty.reopener(None)
        self._endpoint = endpoint(listen)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self.error: SemflashError | None = None

    @property
    def url(self) -> str:
        """Where the host attaches; another device file after a disconnect, unless a link keeps the name."""
        return self._endpoint.url

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._endpoint.close()

    def wait(self) -> None:
        """Until the device's port fails. Raises what it raised."""
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._pass_on()
            except PortVanishedError as error:
                if not self._return():
                    self.error = error
                    self._endpoint.hang_up()
                    return
            except SemflashError as error:
                self.error = error
                self._endpoint.hang_up()
                return

    def _pass_on(self) -> None:
        if data := self._endpoint.receive(_POLL_S if not self.faulty.in_waiting else 0.0):
            self.faulty.write(data)
        for _ in range(_BURST):  # a device that never stops must not keep the host's bytes waiting
            if not self.faulty.in_waiting:
                break
            self._endpoint.send(self.faulty.read(_BLOCK))

    def _return(self) -> bool:
        """After a vanished port: wait until a fault gives it back. False: it is gone in earnest."""
        if not self.faulty.pulled:
            return False
        self._endpoint.hang_up()
        while not self._ending.is_set():
            try:
                if self.faulty.pulled:
                    self._again()
            except LinkError:
                self._ending.wait(_POLL_S)
                continue
            self._endpoint.come_back()
            return True
        return True


if __name__ == "__main__":
    print(
        "the command has moved: it holds the board's lock now\n  try: python -m semflash.hil.proxy",
        file=sys.stderr,
    )
    raise SystemExit(2)
