"""The hardware map: written by a scan, completed by hand, kept by the next scan."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.desk import FakeUsbPort
from semflash.errors import UsageError
from semflash.firmware.boards.hardware_map import EMULATED_BOARD, FILE_NAME, find_map, read_map, update_map
from semflash.firmware.boards.probe import Probe
from semflash.firmware.probes.probes import STLINK_IDS, scan

ONE = Probe("/dev/ttyACM0", "0483:374b", "066A", "STM32 STLink")
TWO = Probe("/dev/ttyACM1", "0483:374e", "066B")

BY_HAND = """\
# My desk.

[[board]]
name = "left"             # the one with the camera
board = "nucleo_f446re"
probe = "066A"
port = "/dev/ttyACM7"     # will move
fixtures = ["camera", "relay"]
baud = 460_800
connected = false
notes = "jumper JP5 on E5V"

# No probe: in the emulator.
[[board]]
name = "emulated"
board = "qemu-stm32f405"
"""


def test_a_scan_finds_probes_by_usb_ids_and_nothing_else() -> None:
    ports = [
        FakeUsbPort("/dev/ttyACM1", "066B", pid=0x374E),
        FakeUsbPort("/dev/ttyUSB0", "x", vid=0x0403, pid=0x6001),
        FakeUsbPort("/dev/ttyS0", None, vid=None, pid=None),
        FakeUsbPort("/dev/ttyACM0", "066A"),
        FakeUsbPort("/dev/ttyACM5", "066C", pid=0x374D),  # a boot loader
    ]
    found = scan(lambda: ports)
    assert [(p.port, p.usb_id, p.serial) for p in found] == [
        ("/dev/ttyACM0", "0483:374b", "066A"),
        ("/dev/ttyACM1", "0483:374e", "066B"),
    ]
    assert len(STLINK_IDS) == 7


def test_the_first_scan_writes_a_map_that_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    report = update_map(path, [ONE, TWO])
    assert report.added == ("board-1", "board-2")
    entries = read_map(path).entries
    assert [(e.name, e.board, e.probe, e.port) for e in entries] == [
        ("board-1", "unknown", "066A", "/dev/ttyACM0"),
        ("board-2", "unknown", "066B", "/dev/ttyACM1"),
    ]
    with pytest.raises(UsageError, match="does not say which board"):
        read_map(path).get("board-1")


def test_a_later_scan_changes_port_and_connected_and_keeps_all_else(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(BY_HAND)
    report = update_map(path, [TWO, ONE])
    assert (report.moved, report.added, report.gone) == (("left",), ("board-1",), ())
    text = path.read_text()
    wanted = BY_HAND.replace('"/dev/ttyACM7" ', '"/dev/ttyACM0" ').replace(
        "connected = false", "connected = true"
    )
    assert text.startswith(wanted.rstrip("\n"))
    left = read_map(path).get("left")
    assert (left.fixtures, left.baud, left.notes) == (("camera", "relay"), 460_800, "jumper JP5 on E5V")
    assert update_map(path, [TWO]).gone == ("left",)
    left = read_map(path).get("left")
    assert (left.connected, left.port) == (False, "/dev/ttyACM0"), "its last port is remembered"
    assert "# the one with the camera" in path.read_text()


def test_a_scan_that_finds_nothing_new_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    update_map(path, [ONE])
    before = path.stat().st_mtime_ns
    assert update_map(path, [ONE]).present == ("board-1",)
    assert path.stat().st_mtime_ns == before


def test_probes_without_number_are_reported_and_two_ports_of_one_probe_are_one_entry(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    bare = Probe("/dev/ttyACM3", "0483:374b", "")
    second = Probe("/dev/ttyACM2", "0483:3753", "066B")
    report = update_map(path, [TWO, second, bare])
    assert (report.added, report.unnumbered) == (("board-1",), ("/dev/ttyACM3",))
    assert read_map(path).entries[0].port == "/dev/ttyACM1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[board]\n", "malformed"),
        ('[[board]]\nname = "a"\n', "malformed"),
        ('[[board]]\nname = "a"\nboard = "native"\ncolour = "red"\n', "colour"),
        ('[[board]]\nname = "a"\nboard = "nucleo_f447re"\n', "did you mean nucleo_f446re"),
        ('[[board]]\nname = "a"\nboard = "native"\n' * 2, "same name or probe"),
        ('[[board]]\nname = "a"\nboard = "native"\nbaud = 3\n', "malformed"),
        ("".join(f'[[board]]\nname = "{n}"\nboard = "native"\nprobe = "1"\n' for n in "ab"), "same name"),
        ("#" * (1 << 20) + "#", "longer than"),
    ],
)
def test_a_wrong_map_is_refused_and_never_overwritten(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text)
    for attempt in (lambda: read_map(path), lambda: update_map(path, [ONE])):
        with pytest.raises(UsageError) as caught:
            attempt()
        assert says in str(caught.value)
    assert path.read_text() == text


@settings(deadline=None)  # a map is synced to the disk
@given(
    st.lists(st.sampled_from(["066A", "066B", "066C", ""]), max_size=4),
    st.lists(st.sampled_from(["066A", "066B", "066D"]), max_size=4),
)
def test_any_order_of_scans_gives_one_entry_for_each_number(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str]
) -> None:
    path = tmp_path_factory.mktemp("map") / FILE_NAME
    for serials in (first, second):
        update_map(path, [Probe(f"/dev/ttyACM{i}", "0483:374b", serial) for i, serial in enumerate(serials)])
    entries = [entry for entry in read_map(path).entries if entry.board != EMULATED_BOARD]
    assert sorted(e.probe or "" for e in entries) == sorted({*first, *second} - {""})
    assert {e.probe for e in entries if e.connected} == set(second)


def test_without_a_probe_the_map_has_the_emulated_board_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    assert update_map(path, []).added == ()
    assert [(e.name, e.board, e.probe) for e in read_map(path).entries] == [
        ("emulated", "qemu-stm32f405", None)
    ]
    update_map(path, [ONE])
    assert [e.name for e in read_map(path).entries] == ["emulated", "board-1"]
    update_map(path, [])
    assert [e.name for e in read_map(path).entries] == ["emulated", "board-1"]


def test_the_map_is_found_upward_or_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.delenv("SEMFLASH_BOARDS_MAP", raising=False)
    (tmp_path / FILE_NAME).write_text("")
    assert find_map(deep) == tmp_path / FILE_NAME
    monkeypatch.setenv("SEMFLASH_BOARDS_MAP", "/etc/semflash/desk.toml")
    assert find_map(deep) == Path("/etc/semflash/desk.toml")


@pytest.mark.parametrize(
    "text",
    [
        "board = " + "[" * 60_000,
        "board = " + "{a=" * 40_000,
        '[[board]]\nname = "../../up"\nboard = "native"\n',
        '[[board]]\nname = ".hidden"\nboard = "native"\n',
        '[[board]]\nname = "x"\nboard = "native"\nport = "\\u001b[2J"\n',
        "# " + "x" * (1 << 17),
    ],
    ids=["nested arrays", "nested tables", "a path", "a hidden file", "an escape sequence", "too long"],
)
def test_a_hostile_map_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text)
    with pytest.raises(UsageError):
        read_map(path)
    with pytest.raises(UsageError):
        update_map(path, [ONE])
    assert path.read_text() == text


def test_bytes_that_are_no_text_are_refused_by_a_scan_too(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"# \xff\n")
    with pytest.raises(UsageError):
        update_map(path, [ONE])


def test_what_a_usb_device_says_of_itself_is_fit_for_terminals(tmp_path: Path) -> None:
    found = scan(lambda: [FakeUsbPort("/dev/ttyACM0", "06\x1b[2J", product="\x1b]0;owned\x07")])
    update_map(tmp_path / FILE_NAME, found)
    entry = read_map(tmp_path / FILE_NAME).entries[0]
    assert (entry.probe, entry.product) == ("06?[2J", "?]0;owned?")
