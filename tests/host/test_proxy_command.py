"""The proxy by hand: it holds the lock of the board behind its port, as monitor does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tty
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from semflash.firmware.boards import lock as board_lock
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.emulator import state as emulator_state
from semflash.firmware.probes import probes
from semflash.hil.proxy import main

HOLD = (
    "import sys; from semflash.firmware.boards.lock import hold\n"
    "with hold(sys.argv[1], what='night job'):\n    print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The port of a board without a serial number: a pseudo terminal whose other end says nothing."""
    monkeypatch.setenv("SEMFLASH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probes, "comports", list)
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


def test_a_board_in_use_is_refused_with_the_name_of_its_user_and_nobody_can_attach(
    board: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", HOLD, board_lock.key_behind(board)]
    link = tmp_path / "bad"
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert main(["--port", board, "--listen", f"pty:{link}"]) == 3
        said = capsys.readouterr()
        assert "another job uses the board" in said.err and f"process {other.pid} (night job)" in said.err
        assert said.out == "" and not link.is_symlink()
        other.kill()


def test_a_board_behind_a_proxy_is_in_use_until_the_proxy_ends(board: str) -> None:
    name = board_lock.key_behind(board)
    command = [sys.executable, "-m", "semflash.hil.proxy", "--port", board, "--listen", "tcp:127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None and proxy.stdout.readline().startswith("socket://127.0.0.1:")
        with pytest.raises(board_lock.BoardBusyError, match="semflash proxy"), board_lock.hold(name):
            pass
        proxy.send_signal(signal.SIGINT)
        assert proxy.wait(timeout=30) == 130
    with board_lock.hold(name):
        pass


def test_the_lock_of_a_port_is_that_of_the_emulated_board_or_the_probe_there(
    board: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_id = tmp_path / "by-id"
    by_id.symlink_to(board)
    usb = SimpleNamespace(device=board, serial_number="066AFF", vid=0x0483, pid=0x374B, location="1-1")
    monkeypatch.setattr(probes, "comports", lambda: [usb])
    hardware = load_board("nucleo_f446re")
    assert board_lock.key_behind(str(by_id)) == board_lock.key_at(hardware, board)
    assert board_lock.key_behind(board) == board_lock.key(hardware, "066AFF")
    running = SimpleNamespace(board="qemu-stm32f405", port="socket://127.0.0.1:5")
    monkeypatch.setattr(emulator_state, "running", lambda: [running])
    assert board_lock.key_behind("socket://127.0.0.1:5") == board_lock.emulated_key("qemu-stm32f405")
    assert board_lock.key_behind("socket://127.0.0.1:6") != board_lock.emulated_key("qemu-stm32f405")


def test_the_command_of_before_says_where_it_is_now() -> None:
    command = [sys.executable, "-m", "semflash.link.proxy", "--port", "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and "python -m semflash.hil.proxy" in done.stderr
