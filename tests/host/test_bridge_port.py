"""Ports through pyserial on pseudo terminals and sockets: opened alone, and gone with a clear error."""

from __future__ import annotations

import errno
import os
import random
import socket
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from semflash.edge.attach import attach
from semflash.edge.reopen import reopener
from semflash.errors import BuildError, DeviceError, LinkError, UsageError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.boards.probe import Probe
from semflash.link.errors import PortVanishedError
from semflash.link.port import open_port


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """(file descriptor of the device's end, path of the host's end)."""
    device, host = os.openpty()
    tty.setraw(host)
    path = os.ttyname(host)
    os.close(host)
    yield device, path
    os.close(device)


def test_all_byte_values_pass_both_ways(terminal: tuple[int, str]) -> None:
    device, path = terminal
    every = bytes(range(256))
    with open_port(path) as port:
        assert port.read(10) == b""
        assert port.write(every) == 256
        assert os.read(device, 1000) == every
        os.write(device, every)
        assert port.read(256) == every
        assert port.in_waiting == 0


def test_a_port_is_opened_for_one_program_alone(terminal: tuple[int, str]) -> None:
    _, path = terminal
    with open_port(path), pytest.raises(LinkError, match="in use") as caught:
        open_port(path)
    assert caught.value.exit_code == 3
    with open_port(path):
        pass  # given back


def test_a_port_that_vanishes_is_an_error_of_its_own() -> None:
    device, host = os.openpty()
    path = os.ttyname(host)
    os.close(host)
    with open_port(path) as port:
        os.close(device)
        with pytest.raises(PortVanishedError, match="vanished"):
            for _ in range(3):
                port.in_waiting  # noqa: B018
                port.read(1)


@pytest.mark.parametrize("call", ["in_waiting", "read", "write"])
def test_each_call_on_a_port_that_has_vanished_is_the_same_error(call: str) -> None:
    device, host = os.openpty()
    path = os.ttyname(host)
    os.close(host)
    with open_port(path) as port:
        os.close(device)
        with pytest.raises(PortVanishedError, match="vanished") as error:
            if call == "in_waiting":
                port.in_waiting  # noqa: B018
            elif call == "read":
                port.read(1)
            else:
                port.write(b"x")
    assert error.value.value == path


def test_a_port_that_does_not_exist_is_said_so() -> None:
    with pytest.raises(LinkError, match="no such port"):
        open_port("/dev/ttyNOWHERE9")


def test_a_file_that_is_no_port_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(LinkError, match="cannot open"):
        open_port(str(path))


def test_an_unknown_kind_of_url_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not a port"):
        open_port("carrier-pigeon://coop")


def test_a_socket_is_a_port_and_its_end_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        with open_port(f"socket://127.0.0.1:{number}") as port:
            port.write(b"\0\xffhello")
            data = b""
            while len(data) < 7:
                data += port.read(7 - len(data))
            assert data == b"\0\xffhello"
            thread.join()
            with pytest.raises(PortVanishedError):
                for _ in range(5):
                    port.read(1)


def test_a_socket_is_read_in_pieces_and_not_byte_by_byte() -> None:
    data = random.Random(5).randbytes(400_000)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        got, reads = b"", 0
        with open_port(f"socket://127.0.0.1:{server.getsockname()[1]}") as port:
            while len(got) < len(data):
                got += port.read(max(1, min(port.in_waiting, 4096)))  # as the link does
                reads += 1
        thread.join()
    assert got == data
    assert reads < 1000


def test_what_came_before_the_other_side_of_a_socket_ended_is_read_first() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        open_port(f"socket://127.0.0.1:{server.getsockname()[1]}") as port,
    ):
        connection, _ = server.accept()
        connection.sendall(b"last words")
        connection.close()
        got = b""
        while len(got) < 10:
            got += port.read(4)
        assert got == b"last words"
        with pytest.raises(PortVanishedError):
            port.in_waiting  # noqa: B018
        with pytest.raises(PortVanishedError):
            for _ in range(3):
                port.write(b"x" * 100_000)


@pytest.mark.parametrize(
    "url", ["socket://", "socket://host", "socket://:1", "socket://h:99999", "socket://h:1?x=y"]
)
def test_a_socket_without_host_or_port_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="not a port"):
        open_port(url)


@pytest.mark.parametrize("call", ["tcgetattr", "tcsetattr", "tcflush"])
def test_a_terminal_that_closes_while_it_is_opened_is_a_link_error(
    terminal: tuple[int, str], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise termios.error(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(termios, call, gone)
        with pytest.raises(LinkError, match="Input/output error"):
            open_port(terminal[1])
        again = reopener(load_board("qemu-stm32f405"), NoPort(), port=terminal[1], ports=list)
        assert again is not None
        with pytest.raises(LinkError):
            again()
    with open_port(terminal[1]):
        pass  # nothing was left open


class NoPort:
    """A port that was never there."""

    url = ""


def test_opening_terminals_that_close_at_any_moment_ends_in_our_errors_only() -> None:
    outcomes = set()
    for attempt in range(400):
        device, host = os.openpty()
        path = os.ttyname(host)
        os.close(host)
        closer = threading.Timer(attempt % 20 * 2e-5, os.close, (device,))
        closer.start()
        try:
            with open_port(path) as port:
                port.in_waiting  # noqa: B018
                port.read(1)
            outcomes.add("open")
        except LinkError as error:
            outcomes.add(type(error).__name__)
        closer.join()
    assert outcomes <= {"open", "LinkError", "PortVanishedError"} and len(outcomes) > 1


def test_nobody_listening_is_a_link_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    with pytest.raises(LinkError):
        open_port(f"socket://127.0.0.1:{number}")


@pytest.mark.parametrize(
    ("ports", "words"),
    [((), "is plugged in"), (("/dev/ttyACM0", "/dev/ttyACM1"), "2 boards of this kind are plugged in")],
)
def test_a_hardware_board_is_never_guessed(
    ports: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Probe(port, "0483:374b", port[-1]) for port in ports]
    monkeypatch.setattr("semflash.firmware.probes.probes.candidates", lambda board: found)
    with pytest.raises(DeviceError, match=words) as caught:
        attach(load_board("nucleo_f446re"))
    assert "--port" in str(caught.value)


def test_the_one_hardware_board_that_fits_is_opened(
    terminal: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Probe(terminal[1], "0483:374b", "1")]
    monkeypatch.setattr("semflash.firmware.probes.probes.candidates", lambda board: found)
    with attach(load_board("nucleo_f446re")) as port:
        port.write(b"x")
        assert os.read(terminal[0], 10) == b"x"


def test_a_named_port_comes_before_the_boards_own(terminal: tuple[int, str]) -> None:
    with attach(load_board("qemu-stm32f405"), port=terminal[1]) as port:
        port.write(b"y")
    assert os.read(terminal[0], 10) == b"y"


@pytest.mark.usefixtures("own_emulators")
def test_an_emulated_board_that_does_not_run_is_said_so() -> None:
    with pytest.raises(DeviceError, match="does not run"):
        attach(load_board("qemu-stm32f405"))


def test_native_needs_its_build_and_has_no_port(tmp_path: Path) -> None:
    native = load_board("native")
    with pytest.raises(UsageError, match="no port"):
        attach(native, port="/dev/ttyACM0", build_dir=tmp_path)
    with pytest.raises(BuildError, match="nothing was built"):
        attach(native, build_dir=tmp_path)
    with pytest.raises(UsageError, match="build folder"):
        attach(native)
