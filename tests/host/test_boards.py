"""Board descriptions and the list of boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from semflash.cli.main import main
from semflash.errors import BuildError, DeviceError, UsageError
from semflash.firmware.boards.descriptions import DEFAULT_BOARD, list_boards, load_board
from semflash.firmware.boards.inventory import inventory
from semflash.firmware.boards.probe import Probe
from semflash.firmware.building import sources
from semflash.firmware.probes.probes import choose

GOOD = """
name = "one"
title = "One"
kind = "hardware"
mcu = "m"
cpu = "cortex-m4"
clock_hz = 84_000_000
probe = "stlink"
platformio_env = "one"
port = "stm32f4"
flash = {origin = 0, size_bytes = 1024}
ram = [{name = "sram", origin = 4096, size_bytes = 512}]
serial = {usart = 1, baud = 9600}
[clock]
source = "hse"
source_hz = 8_000_000
pll = {m = 8, n = 336, p = 4}
apb_dividers = [2, 1]
flash_wait_states = 2
"""


def _board_folder(tmp_path: Path, text: str, name: str = "one") -> Path:
    (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


def test_the_boards_of_this_version_are_there() -> None:
    nucleos = {"nucleo_f446re", "nucleo_f401re", "nucleo_l476rg", "nucleo_h743zi"}
    assert {board.name for board in list_boards()} == {"native", "qemu-stm32f405"} | nucleos
    assert load_board(DEFAULT_BOARD).kind == "emulated"


def test_memory_sizes_are_those_of_the_data_sheets() -> None:
    sizes = {board.name: (board.flash_bytes, board.ram_bytes, board.clock_hz) for board in list_boards()}
    assert sizes["qemu-stm32f405"] == (1 << 20, 128 << 10, 168_000_000)
    assert sizes["nucleo_f446re"] == (512 << 10, 128 << 10, 180_000_000)
    assert sizes["nucleo_f401re"] == (512 << 10, 96 << 10, 84_000_000)
    assert sizes["nucleo_l476rg"] == (1 << 20, 96 << 10, 80_000_000)
    assert sizes["nucleo_h743zi"] == (2 << 20, 512 << 10, 400_000_000)


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
        (GOOD.replace("[clock]", "[other]\n[clock]"), "other"),
        (GOOD.replace("n = 336", "n = 335"), "makes 83.75 MHz"),
        (GOOD.replace("m = 8", "m = 0"), "not positive"),
        (GOOD.replace('mcu = "m"', 'mcu = "stm32f401re"').replace("[2, 1]", "[1, 1]"), "APB1 at 84 MHz"),
        (GOOD.replace('mcu = "m"', 'mcu = "stm32f401re"').replace("states = 2", "states = 1"), "needs 2"),
        (
            GOOD.replace('mcu = "m"', 'mcu = "stm32f401re"').replace("m = 8, n = 336", "m = 2, n = 84"),
            "PLL input",
        ),
        (GOOD.replace("clock_hz", "watchdog_ms = 100\nclock_hz"), "watchdog_ms is 0"),
        (GOOD.replace("origin = 4096", "origin = 1000"), "overlap"),
        (GOOD.replace("usart = 1", "usart = 3"), "no USART3"),
        (GOOD.replace('port = "stm32f4"', ""), "needs port"),
        (GOOD.replace("usart = 1,", 'usart = 1, usb_ids = ["483:374B"],'), "0483:374b"),
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


ONE = Probe("/dev/ttyACM0", "0483:374b", "066AFF")
TWO = Probe("/dev/ttyACM1", "0483:374b", "066BFF")


def test_the_only_board_plugged_in_is_chosen() -> None:
    assert choose(load_board("nucleo_f446re"), found=[ONE]) == ONE


def test_two_boards_are_never_guessed_between() -> None:
    board = load_board("nucleo_f446re")
    with pytest.raises(DeviceError, match="2 boards") as caught:
        choose(board, found=[ONE, TWO])
    assert "066AFF" in str(caught.value) and "066BFF" in str(caught.value)
    assert caught.value.exit_code == 3
    assert choose(board, port="/dev/ttyACM1", found=[ONE, TWO]) == TWO
    assert choose(board, probe="066AFF", found=[ONE, TWO]) == ONE


def test_one_probe_with_two_serial_ports_is_one_board() -> None:
    second = Probe("/dev/ttyACM1", "0483:3753", "066AFF")
    assert choose(load_board("nucleo_f446re"), found=[ONE, second]) == ONE


def test_no_board_and_a_wrong_port_are_errors() -> None:
    with pytest.raises(DeviceError, match="is plugged in"):
        choose(load_board("nucleo_f446re"), found=[])
    with pytest.raises(DeviceError, match="not the board's"):
        choose(load_board("nucleo_f446re"), port="/dev/ttyUSB7", found=[ONE])


# New boards.


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own descriptions."""
    monkeypatch.setenv("SEMFLASH_BOARDS_DIR", str(tmp_path / "own"))
    return tmp_path / "own"


F411 = ["--like", "nucleo_f401re", "--mcu", "stm32f411re", "--platformio-board", "nucleo_f411re"]
FAST = ["--clock-hz", "96000000", "--pll-n", "384", "--ram-bytes", "0x20000", "--wait-states", "3"]


def test_a_board_is_added_from_flags_and_can_be_built_for(own: Path) -> None:
    assert main(["boards", "add", "f411", *F411, *FAST, "--no-questions"]) == 0
    board = load_board("f411")
    assert (board.mcu, board.clock_hz, board.ram_bytes) == ("stm32f411re", 96_000_000, 131_072)
    assert board.clock is not None and board.clock.cpu_hz == 96e6
    ini = sources.settings_ini({}, [], board=board)
    assert "[env:f411]\nextends = stm32f4_part\nboard = nucleo_f411re" in ini
    assert "f411" in {listed.name for listed in list_boards()}


def test_a_board_is_never_overwritten(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "add", "f411", *F411]) == 0
    before = (own / "f411.toml").read_bytes()
    assert main(["boards", "add", "f411", *F411, "--baud", "115200"]) == 2
    assert main(["boards", "add", "nucleo_f446re", *F411]) == 2
    assert "there is a board of this name" in capsys.readouterr().err
    assert (own / "f411.toml").read_bytes() == before
    assert [path.name for path in own.iterdir()] == ["f411.toml"]


@pytest.mark.parametrize(
    ("flags", "says", "code"),
    [
        (["--clock-hz", "100000000"], "[clock] makes 84 MHz", 1),
        (["--like", "native"], "can be plugged in", 2),
        (["--like", "nucleo"], "no such board", 2),
        (["--usart", "6"], "no USART6", 1),
        (["--baud", "fast"], "not a whole number", 2),
    ],
)
def test_a_board_that_contradicts_itself_is_not_written(
    own: Path, flags: list[str], says: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boards", "add", "f411", *F411, *flags]) == code
    assert says in capsys.readouterr().err
    assert not own.exists()


def test_questions_are_asked_at_a_terminal(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "what people call": "Mine",
        "microcontroller": "",
        "PlatformIO": "my_board",
        "RAM": "lots\n65536",
    }
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        for words, text in answers.items():
            if words in question:
                first, _, rest = text.partition("\n")
                answers[words] = rest
                return first
        return ""

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["boards", "add", "mine", "--like", "nucleo_f401re"]) == 0
    board = load_board("mine")
    assert (board.title, board.mcu, board.platformio_board) == ("Mine", "stm32f401re", "my_board")
    assert board.ram_bytes == 65536
    assert sum("RAM" in question for question in asked) == 2, "a wrong answer is asked again"


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
