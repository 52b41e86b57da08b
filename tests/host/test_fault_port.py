"""A port behind a bad line, byte for byte and second for second, and the endpoints of its proxy."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from semflash.errors import LinkError
from semflash.link.errors import PortVanishedError
from semflash.link.faults.log import FaultLog
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.port import READ_TIMEOUT_S
from semflash.link.proxy import Proxy, PtyEndpoint, TcpEndpoint

FRAME = b"abcdefgh\0"


class Wire:
    """A port whose other end is this test, with a clock of its own."""

    def __init__(self, waiting: bytes = b"") -> None:
        self.arrives, self.written, self.reads = bytearray(waiting), bytearray(), 0
        self.now = 50.0
        self.closed = 0

    @property
    def in_waiting(self) -> int:
        return len(self.arrives)

    def read(self, size: int = 1, /) -> bytes:
        self.reads += 1
        assert self.reads < 1000, "the port is read for ever"
        taken = bytes(self.arrives[:size])
        del self.arrives[:size]
        return taken

    def write(self, data: bytes, /) -> int:
        self.written += data
        return len(data)

    def close(self) -> None:
        self.closed += 1

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def behind(self, spec: str, **more: object) -> FaultyPort:
        return FaultyPort(self, FaultSpec.parse(spec), clock=lambda: self.now, sleep=self.sleep, **more)


def test_a_good_line_passes_everything_on_both_ways() -> None:
    wire = Wire(FRAME * 3)
    port = wire.behind("")
    assert port.in_waiting == 27 and port.read(4) == b"abcd" and port.read(1000) == b"efgh\0" + FRAME * 2
    assert port.write(FRAME) == 9 and wire.written == FRAME


def test_a_read_waits_as_long_as_a_serial_port() -> None:
    wire = Wire()
    assert wire.behind("").read(10) == b"" and wire.now == pytest.approx(50.0 + READ_TIMEOUT_S, abs=1e-4)


def test_a_read_ends_when_delayed_bytes_arrive() -> None:
    wire = Wire(FRAME)
    assert wire.behind("up.delay=1:0.01").read(100) == FRAME
    assert wire.now == pytest.approx(50.01, abs=1e-4)


def test_the_port_is_closed_once_when_it_is_left() -> None:
    wire = Wire()
    with wire.behind("") as port:
        assert not port.pulled
    assert wire.closed == 1


def test_a_pulled_port_is_gone_and_what_was_on_the_line_with_it() -> None:
    wire = Wire(b"left over")
    port = wire.behind("down.disconnect=1:2")
    with pytest.raises(PortVanishedError):
        port.write(FRAME)
    assert port.pulled and wire.arrives == b"" and wire.written == b""
    for use in (lambda: port.read(1), lambda: port.in_waiting, lambda: port.write(b"x")):
        with pytest.raises(PortVanishedError):
            use()
    port.close()
    assert wire.closed == 0, "the reopener needs it"
    again = port.reopener(None)
    wire.now += 1.99
    with pytest.raises(LinkError, match="not there"):
        again()
    wire.now += 0.02
    assert again() is port and not port.pulled and port.in_waiting == 0


def test_what_was_received_before_the_cable_was_pulled_is_lost_too() -> None:
    wire = Wire(FRAME)
    port = wire.behind("")
    assert port.in_waiting == 9
    port.down.once("disconnect", 1.0)
    with pytest.raises(PortVanishedError):
        port.write(FRAME)
    wire.now += 1.0
    assert port.reopener(None)() is port and port.in_waiting == 0


def test_a_port_that_vanished_in_earnest_is_opened_by_the_inner_reopener_or_not_at_all() -> None:
    first, second = Wire(), Wire(FRAME)
    port = first.behind("")
    with pytest.raises(LinkError, match="not there"):
        port.reopener(None)()
    assert port.reopener(lambda: second)() is port and port.read(100) == FRAME


def test_stop_ends_all_faults_and_gives_the_port_back() -> None:
    wire = Wire()
    port = wire.behind("down.disconnect=1:60,up.lose=1")
    with pytest.raises(PortVanishedError):
        port.write(FRAME)
    port.stop()
    wire.arrives += FRAME
    assert not port.pulled and port.read(100) == FRAME
    assert port.write(FRAME) == 9 and wire.written == FRAME


def test_a_reset_board_loses_what_it_had_not_sent_and_what_is_held_back() -> None:
    wire = Wire(FRAME)
    resets: list[bytes] = []
    port = wire.behind("", reset=lambda: resets.append(bytes(wire.arrives)))
    port.up.once("delay", 0.5)
    assert port.in_waiting == 0
    wire.arrives += b"not yet sent"
    port.down.once("reset")
    port.write(FRAME)
    assert resets == [b""]
    wire.now += 10.0
    assert port.in_waiting == 0


def test_faults_go_to_the_log_that_is_given_with_seconds_since_the_port_was_opened(tmp_path: Path) -> None:
    with FaultLog(tmp_path / "log") as log:
        wire = Wire()
        port = wire.behind("down.lose=1", log=log)
        wire.now += 2.5
        port.write(FRAME)
    assert log.by_name() == {"down.lose": 1} and '"seconds": 2.5,' in (tmp_path / "log").read_text()


def test_a_terminal_that_hangs_up_is_gone_for_its_reader(tmp_path: Path) -> None:
    end = PtyEndpoint(tmp_path / "link")
    assert end.url == str(tmp_path / "link")
    host = os.open(end.url, os.O_RDWR | os.O_NOCTTY)
    try:
        end.send(b"hi")
        assert os.read(host, 10) == b"hi"
        os.write(host, b"yes")
        assert end.receive(1.0) == b"yes"
        end.hang_up()
        with pytest.raises(OSError):
            os.write(host, b"x")
            os.write(host, b"x")
    finally:
        os.close(host)
    end.come_back()
    end.close()
    end.close()
    assert not (tmp_path / "link").is_symlink()


def test_a_host_that_hangs_up_makes_room_for_the_next() -> None:
    end = TcpEndpoint("127.0.0.1", 0)
    try:
        address = ("127.0.0.1", int(end.url.rpartition(":")[2]))
        end.send(b"to nobody")
        with socket.create_connection(address) as first:
            assert end.receive(1.0) == b""
            first.sendall(b"one")
            assert end.receive(1.0) == b"one"
            end.send(b"two")
            assert first.recv(10) == b"two"
        assert end.receive(1.0) == b""
        with socket.create_connection(address) as second:
            assert end.receive(1.0) == b""
            second.sendall(b"three")
            assert end.receive(1.0) == b"three"
            end.hang_up()
            assert second.recv(10) == b""
    finally:
        end.close()


def test_who_attached_while_the_port_was_away_is_sent_away() -> None:
    end = TcpEndpoint("127.0.0.1", 0)
    try:
        with socket.create_connection(("127.0.0.1", int(end.url.rpartition(":")[2]))) as early:
            early.settimeout(5.0)
            end.come_back()
            assert early.recv(10) == b""
    finally:
        end.close()


def test_a_proxy_ends_with_its_block_and_its_thread_holds_no_program_up() -> None:
    with Proxy(Wire(), FaultSpec()) as proxy:
        assert proxy._thread.daemon and proxy._thread.is_alive()
    assert not proxy._thread.is_alive()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])), timeout=1.0)


def test_a_proxy_tells_why_its_device_is_gone() -> None:
    class Gone(Wire):
        @property
        def in_waiting(self) -> int:
            raise PortVanishedError("the port vanished", value="x", remedy="plug it in")

    with Proxy(Gone(), FaultSpec()) as proxy, pytest.raises(PortVanishedError):
        proxy.wait()
