"""Terminals that close while they are used: the emulator's command line, and a person's."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from semflash.errors import DeviceError
from semflash.firmware.emulator import emulator
from semflash.firmware.emulator import state as emulator_state
from semflash.firmware.emulator.state import EmulatorState
from semflash.monitor.live.keyboard import Keyboard


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """(leader, follower), as file descriptors; the test closes the leader."""
    leader, follower = os.openpty()
    yield leader, follower
    os.close(follower)


def test_an_emulator_that_ends_during_a_reset_is_a_device_error_at_once(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, follower = terminal
    state = EmulatorState("board", 1, "birth", "/dev/pts/0", "image", "", "", "", 0.0, os.ttyname(follower))
    monkeypatch.setattr(emulator_state, "read", lambda name: state)
    closer = threading.Timer(0.2, os.close, (leader,))
    closer.start()
    began = time.monotonic()
    with pytest.raises(DeviceError, match="takes no commands"):
        emulator.reset("board")
    assert time.monotonic() - began < emulator.COMMAND_TIMEOUT_S
    closer.join()


def test_a_keyboard_whose_terminal_is_gone_has_no_keys(terminal: tuple[int, int]) -> None:
    leader, follower = terminal
    os.close(leader)
    with os.fdopen(os.dup(follower), "rb") as stream, Keyboard(stream) as keys:  # type: ignore[arg-type]
        assert keys.read() == []


def test_a_terminal_that_goes_while_keys_are_read_is_left_in_peace(terminal: tuple[int, int]) -> None:
    leader, follower = terminal
    with os.fdopen(os.dup(follower), "rb") as stream, Keyboard(stream) as keys:  # type: ignore[arg-type]
        os.write(leader, b"q")
        assert keys.read() == ["q"]
        os.close(leader)
        assert keys.read() == []
