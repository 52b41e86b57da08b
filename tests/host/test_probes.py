"""Which probe is meant: by number in any case, by port, by a link to the port, never by guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.desk import FakeUsbPort
from semflash.errors import DeviceError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.boards.hardware_map import FILE_NAME, HardwareMap, MapEntry, read_map, update_map
from semflash.firmware.boards.probe import Probe
from semflash.firmware.probes.probes import choose, same_probe, scan
from semflash.firmware.probes.verdicts import Verdict, VerdictError

F446 = load_board("nucleo_f446re")
NO_MAP = HardwareMap(Path("none.toml"), ())


def usb(name: str, serial: str, socket: str | None = None) -> FakeUsbPort:
    return FakeUsbPort(f"/dev/{name}", serial, location=socket)


def plugged(*ports: FakeUsbPort) -> tuple[Probe, ...]:
    return scan(lambda: ports)


#: Two boards whose probes say the same number, at sockets of their own; the second has two serial ports.
TWINS = (
    usb("ttyACM0", "066A", "1-1:1.2"),
    usb("ttyACM1", "066A", "1-2:1.2"),
    usb("ttyACM2", "066A", "1-2:1.4"),
)


def test_ports_are_sorted_by_their_numbers() -> None:
    names = ["ttyACM10", "ttyACM9", "ttyUSB1", "ttyACM100", "ttyACM2"]
    found = plugged(*(usb(name, f"0{index}") for index, name in enumerate(names)))
    assert [probe.port for probe in found] == [
        "/dev/ttyACM2",
        "/dev/ttyACM9",
        "/dev/ttyACM10",
        "/dev/ttyACM100",
        "/dev/ttyUSB1",
    ]


def test_of_a_probe_with_two_ports_the_first_by_number_is_the_boards() -> None:
    found = plugged(usb("ttyACM10", "066A", "1-1:1.4"), usb("ttyACM9", "066A", "1-1:1.2"))
    assert choose(F446, found=found, hardware_map=NO_MAP).port == "/dev/ttyACM9"


@pytest.mark.parametrize("typed", ["066aff", "066AFF", "066Aff"])
def test_a_number_may_be_typed_in_lower_case_and_openocd_gets_the_probes_own(typed: str) -> None:
    found = plugged(usb("ttyACM0", "066AFF"), usb("ttyACM1", "066BFF"))
    assert choose(F446, probe=typed, found=found, hardware_map=NO_MAP).serial == "066AFF"
    entry = MapEntry("desk", F446.name, probe=typed)
    known = HardwareMap(Path("map.toml"), (entry, MapEntry("other", "nucleo_f401re", probe="066bff")))
    assert choose(F446, entry=entry, found=found, hardware_map=known).serial == "066AFF"
    assert choose(F446, found=found, hardware_map=known).serial == "066AFF", "the map's word, in any case"
    with pytest.raises(VerdictError) as caught:
        choose(F446, probe="066BfF", found=found, hardware_map=known)
    assert caught.value.verdict is Verdict.WRONG_BOARD, "the map says whose probe it is, in any case"


def test_of_an_entry_the_probe_counts_and_not_the_port_where_it_was_seen_last() -> None:
    entry = MapEntry("desk", F446.name, probe="066A", port="/dev/ttyACM0")
    known = HardwareMap(Path("map.toml"), (entry,))
    moved = plugged(usb("ttyACM0", "066B"), usb("ttyACM7", "066A"))  # another board took the name
    assert choose(F446, entry=entry, found=moved, hardware_map=known).port == "/dev/ttyACM7"
    bare = MapEntry("bare", F446.name, port="/dev/ttyACM0")
    assert choose(F446, entry=bare, found=moved, hardware_map=known).serial == "066B", "no probe: its port"


def test_two_probes_with_one_number_are_two_boards_and_none_is_guessed() -> None:
    found = plugged(*TWINS)
    for named in ({}, {"probe": "066A"}, {"entry": MapEntry("desk", F446.name, probe="066A")}):
        with pytest.raises(DeviceError, match="two probes have the serial number 066A") as caught:
            choose(F446, found=found, hardware_map=NO_MAP, **named)  # type: ignore[arg-type]
        assert "/dev/ttyACM0" in str(caught.value) and "/dev/ttyACM1" in str(caught.value)
    for port in ("/dev/ttyACM0", "/dev/ttyACM1"):
        assert choose(F446, port=port, found=found, hardware_map=NO_MAP).port == port
    assert choose(F446, found=found[1:], hardware_map=NO_MAP).port == "/dev/ttyACM1", "one probe, two ports"


def test_after_a_reset_the_probe_is_the_one_at_the_same_socket() -> None:
    one, two, _ = plugged(*TWINS)
    renamed = (usb("ttyACM5", "066A", "1-1:1.2"), usb("ttyACM4", "066A", "1-2:1.2"))
    assert same_probe(one, F446, lambda: renamed).port == "/dev/ttyACM5"
    assert same_probe(two, F446, lambda: renamed).port == "/dev/ttyACM4"
    assert same_probe(one, F446, lambda: renamed[1:]) == one, "only the other one is there"
    assert same_probe(one, F446, lambda: [usb("ttyACM6", "066A", "1-1:1.2")]).port == "/dev/ttyACM6"


def test_a_link_to_a_port_is_the_port(tmp_path: Path) -> None:
    device, link = tmp_path / "ttyACM3", tmp_path / "usb-ST-Link_066B-if02"
    device.touch()
    link.symlink_to(device)
    found = (Probe("/dev/ttyACM0", "0483:374b", "066A"), Probe(str(device), "0483:374b", "066B"))
    assert choose(F446, port=str(link), found=found, hardware_map=NO_MAP) == found[1]
    entry = MapEntry("desk", F446.name, port=str(link))
    assert choose(F446, entry=entry, found=found, hardware_map=NO_MAP) == found[1]
    with pytest.raises(VerdictError) as caught:
        choose(F446, port=str(tmp_path / "nowhere"), found=found, hardware_map=NO_MAP)
    assert caught.value.verdict is Verdict.WRONG_BOARD


def test_a_scan_keeps_a_link_in_the_map_that_still_leads_there(tmp_path: Path) -> None:
    device, link, path = tmp_path / "ttyACM3", tmp_path / "by-id", tmp_path / FILE_NAME
    device.touch()
    link.symlink_to(device)
    path.write_text(f'[[board]]\nname = "desk"\nboard = "{F446.name}"\nprobe = "066b"\nport = "{link}"\n')
    assert update_map(path, [Probe(str(device), "0483:374b", "066B")]).present == ("desk",)
    assert read_map(path).get("desk").port == str(link)
    assert update_map(path, [Probe("/dev/ttyACM8", "0483:374b", "066B")]).moved == ("desk",)
    assert read_map(path).get("desk").port == "/dev/ttyACM8"


def test_a_scan_leaves_probes_with_one_number_out_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    text = f'[[board]]\nname = "desk"\nboard = "{F446.name}"\nprobe = "066a"\nport = "/dev/ttyACM7"\n'
    path.write_text(text)
    report = update_map(path, plugged(*TWINS))
    assert report.shared == ("/dev/ttyACM0", "/dev/ttyACM1", "/dev/ttyACM2")
    assert not (report.added or report.moved or report.present or report.gone)
    assert path.read_text() == text, "which of them the entry means is not guessed"
