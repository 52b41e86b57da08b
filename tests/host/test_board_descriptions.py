"""Where the checks of clock trees, board descriptions and the linker's map turn from yes to no."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import tomlkit

from fakes.desk import FakeUsbPort
from semflash.errors import BuildError, UsageError
from semflash.firmware.boards.add import Changes, add_board, describe
from semflash.firmware.boards.clock_tree import Clock, Pll, problem
from semflash.firmware.boards.descriptions import load_board, parse_board
from semflash.firmware.boards.inventory import inventory
from semflash.firmware.building import memory_map

# Clock trees: RM0390, RM0351 and RM0433 give the limits.

F446 = Clock("hse-bypass", 8_000_000, Pll(8, 360, p=2), 5, apb_dividers=(4, 2), over_drive=True)
F405 = Clock("hse-bypass", 8_000_000, Pll(8, 336, p=2), 5, apb_dividers=(4, 2))
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
        (change(F405, n=432, p=4), 108_000_000, "stm32f405rg", ""),
        (change(F405, n=433, p=4), 108_250_000, "stm32f405rg", "VCO at 433 MHz; the part allows 100 to 432"),
        (change(F405, n=432, p=8), 54_000_000, "stm32f401re", ""),
        (change(F405, n=433, p=8), 54_125_000, "stm32f401re", "VCO at 433 MHz; the part allows 192 to 432"),
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
