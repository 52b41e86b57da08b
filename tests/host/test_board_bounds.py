"""Where the checks of hardware maps and locks turn from yes to no."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from semflash.errors import UsageError
from semflash.firmware.boards import lock
from semflash.firmware.boards.hardware_map import FILE_NAME, find_map, read_map, update_map
from semflash.firmware.boards.probe import Probe
from semflash.firmware.building.project import exclusive

ENTRY = '[[board]]\nname = "{name}"\nboard = "native"\n{more}\n'


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        (f'port = "{"p" * 200}"', True),
        (f'port = "{"p" * 201}"', False),
        ('port = ""', False),
        ("baud = 1200", True),
        ("baud = 1199", False),
        ("baud = 20_000_000", True),
        ("baud = 20_000_001", False),
    ],
)
def test_texts_and_rates_of_a_map_have_bounds(tmp_path: Path, more: str, fits: bool) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(ENTRY.format(name="a", more=more))
    if fits:
        assert read_map(path).get("a").connected
    else:
        with pytest.raises(UsageError, match="malformed"):
            read_map(path)


@pytest.mark.parametrize(("length", "fits"), [(80, True), (81, False)])
def test_a_name_in_a_map_has_at_most_80_characters(tmp_path: Path, length: int, fits: bool) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(ENTRY.format(name="n" * length, more=""))
    if fits:
        assert read_map(path).get("n" * length).name == "n" * length
    else:
        with pytest.raises(UsageError, match="malformed"):
            read_map(path)


@pytest.mark.parametrize(("size", "fits"), [(1 << 17, True), ((1 << 17) + 1, False)])
def test_a_map_has_at_most_128_kib(tmp_path: Path, size: int, fits: bool) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("#" * size)
    if fits:
        assert read_map(path).entries == ()
    else:
        with pytest.raises(UsageError, match="longer"):
            read_map(path)


def test_a_map_that_is_not_there_and_an_entry_that_is_not_in_it_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_map(tmp_path / FILE_NAME)
    (tmp_path / FILE_NAME).write_text(
        ENTRY.format(name="left", more="") + ENTRY.format(name="right", more="")
    )
    with pytest.raises(UsageError, match="no such board") as caught:
        read_map(tmp_path / FILE_NAME).get("lef")
    assert "left" in caught.value.remedy and "right" not in caught.value.remedy
    with pytest.raises(UsageError, match="no such board") as caught:
        read_map(tmp_path / FILE_NAME).get("0")
    assert "left, right" in caught.value.remedy
    assert read_map(tmp_path / FILE_NAME).get("right").name == "right"


def test_an_empty_variable_names_no_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMFLASH_BOARDS_MAP", "")
    (tmp_path / FILE_NAME).write_text("")
    assert find_map(tmp_path) == tmp_path / FILE_NAME


def test_a_scan_writes_what_a_probe_says_of_itself_and_nothing_where_it_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(ENTRY.format(name="board-1", more='probe = "066C"') + ENTRY.format(name="e", more=""))
    update_map(
        path, [Probe("/dev/ttyACM0", "0483:374b", "066A", "ST"), Probe("/dev/ttyACM1", "0483:374b", "066B")]
    )
    first, emulated, second, third = read_map(path).entries
    assert (first.name, first.connected, emulated.connected) == ("board-1", False, True)
    assert (second.name, second.product, third.name, third.product) == ("board-2", "ST", "board-3", "")
    assert path.read_text().count("product") == 1


def test_a_probe_without_number_after_one_with_a_number_hides_no_third(tmp_path: Path) -> None:
    probes = [Probe(f"/dev/ttyACM{n}", "0483:374b", serial) for n, serial in enumerate(("066A", "", "066B"))]
    report = update_map(tmp_path / FILE_NAME, probes)
    assert (report.added, report.unnumbered) == (("board-1", "board-2"), ("/dev/ttyACM1",))


# Locks.


def test_a_lock_names_its_holder_while_it_is_held_and_nobody_afterwards(
    own_emulators: Path, tmp_path: Path
) -> None:
    beside = tmp_path / "desk.toml"
    files = [own_emulators / "board-x.board-lock", tmp_path / ".desk.toml.board-x.lock"]
    with lock.hold("board-x", map_path=beside, what="a test"):
        for path in files:
            assert json.loads(path.read_text()) == {"pid": os.getpid(), "what": "a test"}
        with lock.hold("board-x", map_path=beside, what="an inner one"):
            pass
        assert json.loads(files[0].read_text())["what"] == "a test", "the inner one took nothing away"
        with files[0].open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for path in files:
        assert path.read_text() == ""
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _take(folder: str, wait_s: float) -> str:
    """In another process: "free", or the words of the error."""
    os.environ["SEMFLASH_STATE_DIR"] = folder
    try:
        with lock.hold("board-y", timeout_s=wait_s, what="the other"):
            return "free"
    except lock.BoardBusyError as error:
        return str(error)


def test_another_process_is_told_who_holds_the_board_and_waits_no_longer_than_it_likes(
    own_emulators: Path,
) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with lock.hold("board-y", what="w" * 50):
            began = time.monotonic()
            said = pool.apply(_take, (str(own_emulators), 0.3))
            assert f"process {os.getpid()} ({'w' * 40})" in said and time.monotonic() - began >= 0.3
        assert pool.apply(_take, (str(own_emulators), 0.0)) == "free"


@pytest.mark.parametrize("text", ["", "[]", '{"pid": "x", "what": 1}', '{"pid": 1}', "null", "\0"])
def test_a_lock_file_that_says_nothing_names_no_process(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    assert lock._holder(tmp_path / "lock") is lock._holder(tmp_path / "none") is None


def test_a_new_holder_gets_a_moment_to_write_its_name(tmp_path: Path) -> None:
    """Between taking the lock and writing the file lies an instant in which the file is empty."""
    path = tmp_path / "lock"
    path.write_text("")
    said = json.dumps({"pid": os.getpid(), "what": "a monitor"})
    writer = threading.Timer(lock._NAME_S / 4, path.write_text, (said,))
    writer.start()
    assert lock._holder(path) == (os.getpid(), "a monitor")
    writer.join()


def _write(folder: str, mark: str) -> None:
    """In another process: two lines that nobody may come between."""
    with exclusive(Path(folder)), (Path(folder) / "log").open("a") as log:
        log.write(f"{mark}\n")
        log.flush()
        time.sleep(0.05)
        log.write(f"{mark}\n")


def test_a_build_folder_is_one_processs_at_a_time(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(_write, [(str(tmp_path), str(n)) for n in range(6)])
    lines = (tmp_path / "log").read_text().split()
    assert len(lines) == 12 and all(lines[n] == lines[n + 1] for n in range(0, 12, 2))
