"""A board belongs to one job at a time: flash and monitor take its lock, and others hear who holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes.flash_desk import F446, Plug, write_map
from semflash.edge.attach import attach
from semflash.firmware.boards import lock as board_lock
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.result import BuildResult
from semflash.firmware.probes.flash import flash


def holder(key: str, path: Path | None = None) -> subprocess.Popen[str]:
    """Another process that holds a board's lock until its stdin closes."""
    code = (
        "import sys; from pathlib import Path; from semflash.firmware.boards.lock import hold\n"
        "where = Path(sys.argv[2]) if len(sys.argv) > 2 else None\n"
        "with hold(sys.argv[1], map_path=where, what='night job'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, key, *([str(path)] if path else [])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_board_in_use_is_refused_with_the_name_of_its_user_and_free_after_a_kill(
    plug: Plug, built: BuildResult
) -> None:
    board = plug("066AFF")
    key = board_lock.key(load_board(F446), "066AFF")
    with holder(key) as other:
        with pytest.raises(board_lock.BoardBusyError) as caught:
            flash(built)
        assert f"process {other.pid} (night job)" in str(caught.value)
        assert not board.flashed.exists()
        other.kill()
    flash(built)
    assert board.flashed.exists()


def test_the_other_board_stays_free(plug: Plug, built: BuildResult) -> None:
    plug("066AFF"), plug("066BFF")
    with holder(board_lock.key(load_board(F446), "066AFF")) as other:
        assert flash(built, probe="066BFF").probe == "066BFF"
        other.kill()


def test_a_lock_beside_the_map_holds_for_users_with_another_state_folder(
    desk: Path, plug: Plug, built: BuildResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plug("066AFF")
    path = write_map(desk, ("left", F446, "066AFF"))
    with holder(board_lock.key(load_board(F446), "066AFF"), path) as other:
        monkeypatch.setenv("SEMFLASH_STATE_DIR", str(tmp_path / "another"))
        with pytest.raises(board_lock.BoardBusyError):
            flash(built)
        other.kill()
    assert flash(built).hello is not None


def test_a_lock_is_waited_for_as_long_as_one_likes(desk: Path) -> None:
    with holder("probe-1") as other:
        assert other.stdin is not None
        began = time.monotonic()
        with pytest.raises(board_lock.BoardBusyError), board_lock.hold("probe-1", timeout_s=0.3):
            pass
        assert time.monotonic() - began >= 0.3
        other.stdin.close()
        with board_lock.hold("probe-1", timeout_s=10), board_lock.hold("probe-1"):
            pass  # nested in one process


def test_nested_locks_are_freed_with_the_last_in_any_order(desk: Path) -> None:
    lock = desk.parent / "state" / "probe-2.board-lock"
    outer, inner = board_lock.hold("probe-2", what="outer"), board_lock.hold("probe-2", what="inner")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert json.loads(lock.read_text())["pid"] == os.getpid(), "still held"
    assert "outer" in said_by_another(desk, "probe-2")
    inner.__exit__(None, None, None)
    assert lock.read_text() == ""
    assert said_by_another(desk, "probe-2") == "free\n"


def test_a_process_that_the_holder_started_may_use_its_board_and_no_other_may(desk: Path) -> None:
    with board_lock.hold("probe-3", what="semflash flash"):
        assert said_by_another(desk, "probe-3", "True") == "free\n"
        assert "semflash flash" in said_by_another(desk, "probe-3", "False")
    with holder("probe-3") as stranger:
        assert "night job" in said_by_another(desk, "probe-3", "True")
        stranger.kill()


def said_by_another(desk: Path, name: str, or_ancestor: str = "False") -> str:
    """What another process hears that wants the lock."""
    code = (
        "import sys; from semflash.firmware.boards import lock\n"
        "try:\n    with lock.hold(sys.argv[1], or_ancestor=sys.argv[2] == 'True'): print('free')\n"
        "except lock.BoardBusyError as error: print(error)"
    )
    command = [sys.executable, "-c", code, name, or_ancestor]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


_TAKE_LOCK = """
import sys
from semflash.firmware.boards import lock as board_lock
from semflash.firmware.boards.descriptions import load_board
try:
    with board_lock.hold(board_lock.key(load_board(sys.argv[1]), sys.argv[2])):
        print("free")
except board_lock.BoardBusyError as error:
    print(error)
"""


def test_a_monitor_keeps_others_off_its_board(plug: Plug, desk: Path, tmp_path: Path) -> None:
    board = plug("066AFF")
    by_id = tmp_path / "by-id"
    by_id.symlink_to(board.usb.device)

    def said() -> str:
        command = [sys.executable, "-c", _TAKE_LOCK, F446, "066AFF"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    user = board_lock.BoardUser("semflash monitor")
    with attach(load_board(F446), port=str(by_id), user=user):
        assert "another job uses the board" in (busy := said()) and "semflash monitor" in busy
    assert said() == "free\n"
