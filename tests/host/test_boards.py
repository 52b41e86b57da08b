"""Board descriptions and the list of boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from semflash.cli.main import main
from semflash.errors import BuildError, DeviceError, UsageError
from semflash.firmware import sources
from semflash.firmware.boards import DEFAULT_BOARD, list_boards, load_board
from semflash.firmware.flash import SerialCandidate, choose_port
from semflash.firmware.inventory import inventory

GOOD = """
name = "one"
title = "One"
kind = "hardware"
mcu = "m"
cpu = "cortex-m4"
clock_hz = 1000
probe = "stlink"
platformio_env = "one"
flash = {origin = 0, size_bytes = 1024}
ram = [{name = "sram", origin = 4096, size_bytes = 512}]
serial = {usart = 1, baud = 9600}
"""


def _board_folder(tmp_path: Path, text: str, name: str = "one") -> Path:
    (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


def test_the_three_boards_of_this_version_are_there() -> None:
    assert {board.name for board in list_boards()} == {"native", "qemu-stm32f405", "nucleo_f446re"}
    assert load_board(DEFAULT_BOARD).kind == "emulated"


def test_memory_sizes_are_those_of_the_data_sheets() -> None:
    f405, f446 = load_board("qemu-stm32f405"), load_board("nucleo_f446re")
    assert (f405.flash_bytes, f405.ram_bytes) == (1 << 20, 128 << 10)
    assert (f446.flash_bytes, f446.ram_bytes) == (512 << 10, 128 << 10)


def test_dash_and_underscore_name_the_same_board() -> None:
    assert load_board("nucleo-f446re").name == "nucleo_f446re"


def test_an_unknown_board_is_refused_with_near_names() -> None:
    with pytest.raises(UsageError, match="no such board") as caught:
        load_board("nucleo-f446")
    assert "nucleo_f446re" in caught.value.remedy
    assert caught.value.exit_code == 2


def test_a_board_name_cannot_leave_the_folder() -> None:
    with pytest.raises(UsageError):
        load_board("../pyproject")


def test_a_good_description_is_read(tmp_path: Path) -> None:
    assert load_board("one", _board_folder(tmp_path, GOOD)).flash_bytes == 1024


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "malformed"),
        (GOOD + "\nspeed = 3", "speed"),
        (GOOD.replace('"hardware"', '"toaster"'), "toaster"),
        (GOOD.replace('name = "one"', 'name = "two"'), "two"),
        (GOOD.replace("size_bytes = 1024", "size_bytes = -1"), "out of range"),
        (GOOD.replace("size_bytes = 1024", 'size_bytes = "1k"'), "int"),
        (GOOD.replace('"hardware"', '"emulated"'), "emulator"),
        (GOOD.replace("serial =", "[other]\nserial ="), "other"),
        (GOOD.replace("baud = 9600", "baud = 0"), "positive"),
        ("#" * 100_000, "too long"),
    ],
)
def test_a_bad_description_is_refused_and_says_why(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BuildError) as caught:
        load_board("one", _board_folder(tmp_path, text))
    assert says in str(caught.value)


def test_the_linker_gets_the_boards_memories() -> None:
    flags = sources.link_flags(load_board("nucleo_f446re"))
    assert "-Wl,--defsym=sf_flash_length=0x80000" in flags
    assert "-Wl,--defsym=sf_ram_length=0x20000" in flags


def test_inventory_shows_native_as_attached_and_a_stopped_emulator_as_not(own_emulators: Path) -> None:
    shown = {status.name: status for status in inventory()}
    assert shown["native"].attached
    assert not shown["qemu-stm32f405"].attached
    assert shown["qemu-stm32f405"].ports == ()


ONE = SerialCandidate("/dev/ttyACM0", "0483:374b", "066AFF")
TWO = SerialCandidate("/dev/ttyACM1", "0483:374b", "066BFF")


def test_the_only_board_plugged_in_is_chosen() -> None:
    assert choose_port(load_board("nucleo_f446re"), None, [ONE]) == "/dev/ttyACM0"


def test_two_boards_are_never_guessed_between() -> None:
    with pytest.raises(DeviceError, match="2 boards") as caught:
        choose_port(load_board("nucleo_f446re"), "/dev/ttyACM1", [ONE, TWO])
    assert "066AFF" in str(caught.value)
    assert "066BFF" in str(caught.value)
    assert caught.value.exit_code == 3


def test_no_board_and_a_wrong_port_are_errors() -> None:
    with pytest.raises(DeviceError, match="is plugged in"):
        choose_port(load_board("nucleo_f446re"), None, [])
    with pytest.raises(DeviceError, match="not the board's"):
        choose_port(load_board("nucleo_f446re"), "/dev/ttyUSB7", [ONE])


@pytest.mark.parametrize("columns", [60, 80])
def test_names_are_whole_in_a_narrow_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["boards"]) == 0
    out = capsys.readouterr().out
    assert all(board.name in out for board in list_boards())
    assert max(map(len, out.splitlines())) <= columns
    assert ("168 MHz" in out) == (columns == 80)
