"""Where the checks of boards, hardware maps, locks and clock trees turn from yes to no."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import time
from pathlib import Path

import msgspec
import pytest
import tomlkit

from fakes.desk import FakeUsbPort
from semflash.errors import BuildError, UsageError
from semflash.firmware.boards import lock
from semflash.firmware.boards.add import Changes, add_board, describe
from semflash.firmware.boards.clock_tree import Clock, Pll, problem
from semflash.firmware.boards.descriptions import load_board, parse_board
from semflash.firmware.boards.hardware_map import FILE_NAME, find_map, read_map, update_map
from semflash.firmware.boards.inventory import inventory
from semflash.firmware.boards.probe import Probe
from semflash.firmware.building import memory_map
from semflash.firmware.building.project import exclusive
from semflash.firmware.building.result import BuildResult
from semflash.firmware.probes import confirm
from semflash.firmware.probes.verdicts import Verdict, VerdictError
from semflash.link.frame import PROTOCOL_VERSION

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


# What a board says of itself.


BUILT = BuildResult(
    "/nowhere",
    "nucleo_f446re",
    "hardware",
    "tiny",
    "tiny.semcodec",
    "12345678" + "0" * 56,
    "0000abcd",
    "aot",
    "auto",
    "firmware.elf",
    None,
    1,
    1,
    1,
    1,
    "none",
    (),
    (),
)


class Hello:
    """The fields of HELLO that are compared."""

    def __init__(self, **changes: object) -> None:
        self.board, self.protocol, self.build_id, self.bundle = (
            "nucleo_f446re",
            PROTOCOL_VERSION,
            0xABCD,
            0x12345678,
        )
        self.__dict__.update(changes)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, None),
        ({"board": "nucleo_f401re"}, Verdict.WRONG_BOARD),
        ({"protocol": PROTOCOL_VERSION - 1}, Verdict.WRONG_FIRMWARE),
        ({"build_id": 0xABCE}, Verdict.WRONG_FIRMWARE),
        ({"bundle": 0x12345679}, Verdict.WRONG_FIRMWARE),
    ],
)
def test_board_protocol_build_and_bundle_must_all_be_what_was_flashed(
    changes: dict[str, object], verdict: Verdict | None
) -> None:
    hello = Hello(**changes)
    if verdict is None:
        assert confirm.check(hello, BUILT) is hello  # type: ignore[arg-type]
        return
    with pytest.raises(VerdictError) as caught:
        confirm.check(hello, BUILT)  # type: ignore[arg-type]
    assert caught.value.verdict is verdict


# Clock trees: RM0390, RM0351 and RM0433 give the limits.

F446 = Clock("hse-bypass", 8_000_000, Pll(8, 360, p=2), 5, apb_dividers=(4, 2), over_drive=True)
L476 = Clock("msi", 4_000_000, Pll(1, 40, r=2), 4, pll_output="r")
H743 = Clock("hse-bypass", 8_000_000, Pll(1, 100, p=2), 2, ahb_divider=2, apb_dividers=(2, 2))


def change(clock: Clock, **changes: object) -> Clock:
    pll = {key: value for key, value in changes.items() if key in "mnpqr"}
    rest = {key: value for key, value in changes.items() if key not in "mnpqr"}
    return msgspec.structs.replace(clock, pll=msgspec.structs.replace(clock.pll, **pll), **rest)


@pytest.mark.parametrize(
    ("clock", "hz", "mcu", "says"),
    [
        (F446, 180_000_000, "stm32f446ret6", ""),
        (change(F446, over_drive=False), 180_000_000, "stm32f446ret6", "needs over_drive"),
        (change(F446, n=336, over_drive=False), 168_000_000, "stm32f446ret6", ""),
        (change(F446, flash_wait_states=4), 180_000_000, "stm32f446ret6", "180 MHz needs 5"),
        (change(F446, flash_wait_states=-1), 180_000_000, "any", "not positive"),
        (change(F446, flash_wait_states=0), 180_000_000, "any", ""),
        (change(F446, source_hz=0), 0, "any", "not positive"),
        (change(F446, p=0), 180_000_000, "any", "not positive"),
        (change(F446, ahb_divider=0), 180_000_000, "any", "not positive"),
        (change(F446, apb_dividers=(4, 0)), 180_000_000, "any", "not positive"),
        (change(F446, n=1, m=1, p=1, q=0, r=0), 8_000_000, "any", ""),
        (F446, 180_000_001, "any", "makes 180 MHz, clock_hz is 180 MHz"),
        (
            change(F446, apb_dividers=(2, 2)),
            180_000_000,
            "stm32f446re",
            "APB1 at 90 MHz; the part allows 0 to 45",
        ),
        (
            change(F446, apb_dividers=(4, 1)),
            180_000_000,
            "stm32f446re",
            "APB2 at 180 MHz; the part allows 0 to 90",
        ),
        (change(F446, n=432), 216_000_000, "stm32f446re", "CPU at 216 MHz; the part allows 0 to 180"),
        (change(F446, n=433, p=4), 108_250_000, "stm32f446re", "VCO at 433 MHz; the part allows 100 to 432"),
        (change(F446, n=432, p=4), 108_000_000, "stm32f446re", ""),
        (change(F446, n=99, p=2), 49_500_000, "stm32f446re", "VCO at 99 MHz"),
        (change(F446, n=100, p=2), 50_000_000, "stm32f446re", ""),
        (change(F446, m=4, n=180), 180_000_000, "stm32f446re", ""),
        (
            change(F446, m=3, n=135),
            180_000_000,
            "stm32f446re",
            "PLL input at 2.66667 MHz; the part allows 1 to 2",
        ),
        (change(F446, m=9, n=405), 180_000_000, "stm32f446re", "PLL input at 0.888889 MHz"),
        (change(F446, n=60, m=4, p=4), 30_000_000, "stm32f446re", ""),
        (change(F446, n=60, m=4, p=4, flash_wait_states=0), 30_000_000, "stm32f446re", ""),
        (change(F446, n=62, m=4, p=4, flash_wait_states=0), 31_000_000, "stm32f446re", "31 MHz needs 1"),
        (L476, 80_000_000, "stm32l476rg", ""),
        (change(L476, flash_wait_states=3), 80_000_000, "stm32l476rg", "80 MHz needs 4"),
        (change(L476, n=32, flash_wait_states=3), 64_000_000, "stm32l476rg", ""),
        (change(L476, n=86, r=4), 86_000_000, "stm32l476rg", "CPU at 86 MHz; the part allows 0 to 80"),
        (H743, 400_000_000, "stm32h743zi", ""),
        (
            change(H743, ahb_divider=1),
            400_000_000,
            "stm32h743zi",
            "bus matrix at 400 MHz; the part allows 0 to 200",
        ),
        (change(H743, flash_wait_states=1), 400_000_000, "stm32h743zi", "200 MHz needs 2"),
        (change(F446, n=168, p=2), 84_000_000, "stm32f401re", "VCO at 168 MHz; the part allows 192"),
        (change(F446, n=336, p=4, apb_dividers=(2, 1)), 84_000_000, "stm32f401re", ""),
        (change(F446, n=340, p=4, apb_dividers=(4, 2)), 85_000_000, "stm32f401re", "CPU at 85 MHz"),
        (change(F446, n=338, p=2, apb_dividers=(4, 4)), 169_000_000, "stm32f405rg", "CPU at 169 MHz"),
        (change(F446, n=336, p=2), 168_000_000, "stm32f405rg", ""),
    ],
)
def test_a_clock_tree_is_held_to_the_parts_limits(clock: Clock, hz: int, mcu: str, says: str) -> None:
    found = problem(clock, hz, mcu)
    assert (says in found) if says else found == ""


# Descriptions.


def test_a_new_board_takes_what_is_given_and_keeps_the_rest() -> None:
    base = load_board("nucleo_f446re")
    same = parse_board(describe("copy", base, Changes()).encode(), "copy")
    assert same == msgspec.structs.replace(
        base, name="copy", title="copy", platformio_env="copy", platformio_board="nucleo_f446re"
    )
    text = describe("other", base, Changes(title="Mine", ram_bytes=65_536, baud=115_200, apb_dividers=(8, 2)))
    other = parse_board(text.encode(), "other")
    assert text.startswith("# Mine. Written by semflash boards add") and "origin = 0x20000000" in text
    assert [(region.origin, region.size_bytes) for region in other.ram] == [(base.ram[0].origin, 65_536)]
    assert (other.serial.baud, other.serial.usart) == (115_200, base.serial.usart)
    assert other.clock == msgspec.structs.replace(base.clock, apb_dividers=(8, 2))
    assert other.flash == base.flash and other.mcu == base.mcu


def test_a_board_with_several_memories_keeps_them_all_unless_a_size_is_given() -> None:
    base = load_board("qemu-stm32f405")
    two = msgspec.structs.replace(
        base, ram=(*base.ram, msgspec.structs.replace(base.ram[0], name="more", origin=0x30000000))
    )
    assert describe("x", two, Changes()).count("[[ram]]") == 1 + len(base.ram)
    assert describe("x", two, Changes(ram_bytes=1024)).count("[[ram]]") == 1


def test_a_board_like_one_that_cannot_be_plugged_in_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="plugged in"):
        add_board("mine", "native", Changes(), tmp_path)
    with pytest.raises(UsageError, match="of this name"):
        add_board("native", "nucleo_f446re", Changes(), tmp_path)
    path = add_board("mine", "nucleo_f446re", Changes(), tmp_path / "deep" / "er")
    assert parse_board(path.read_bytes(), "mine").name == "mine"


@pytest.mark.parametrize("data", [b"\xff", b"name = [" + b"[" * 20_000, b"name = 3", b"#" * 70_000])
def test_a_description_that_cannot_be_read_is_malformed(data: bytes) -> None:
    with pytest.raises(BuildError, match="malformed"):
        parse_board(data, "x")


@pytest.mark.parametrize("key", ["flash", "ram", "clock", "serial", "platformio_env"])
def test_a_board_that_is_built_for_needs_each_part_of_its_description(key: str) -> None:
    base = load_board("nucleo_f446re")
    tree = msgspec.to_builtins(base)
    tree[key] = [] if key == "ram" else None
    text = tomlkit.dumps({name: value for name, value in tree.items() if value is not None})
    with pytest.raises(BuildError, match=f"needs {key}"):
        parse_board(text.encode(), base.name)


def test_the_inventory_shows_plugged_boards_with_their_probes_and_a_running_emulator(
    own_emulators: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semflash.firmware.boards import inventory as module
    from semflash.firmware.probes import probes

    class State:
        port, bundle_hash, build_id, pid = "/dev/pts/9", "abcd", "0000beef", 77

    monkeypatch.setattr(probes, "comports", lambda: [FakeUsbPort("/dev/ttyACM4", "066A", location="1-1:1.2")])
    monkeypatch.setattr(module.emulator, "status", lambda name: State() if name == "qemu-stm32f405" else None)
    shown = {status.name: status for status in inventory()}
    board, emulated = shown["nucleo_f446re"], shown["qemu-stm32f405"]
    assert (board.attached, board.ports, board.detail) == (True, ("/dev/ttyACM4",), "probe 066A")
    assert (emulated.attached, emulated.ports, emulated.bundle_hash) == (True, ("/dev/pts/9",), "abcd")
    assert emulated.detail == "build 0000beef, process 77"
    assert (shown["native"].ports, shown["native"].detail) == ((), "in this process")


# The linker's map.


def test_pieces_that_were_thrown_away_hide_none_that_follow() -> None:
    lines = [
        "Linker script and memory map",
        " .text.gone     0x00000000       0x40 model/sf_model.o",
        " .text.empty    0x08000000        0x0 model/sf_model.o",
        " .text.kept     0x08000100       0x20 model/sf_model.o",
        " .data.value    0x20000000       0x10 device/src/device.o",
        " .debug_info    0x00000010       0x99 model/sf_model.o",
    ]
    kinds = memory_map.kinds("\n".join(lines))
    assert (kinds.encoder_code, kinds.other_ram, kinds.link_flash) == (0x20, 0x10, 0x10)
