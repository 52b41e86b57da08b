"""Port over ST's HAL and sensor example compile without a warning and link against ST's own HAL (L476RG)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from c import st_hal
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building import sources
from semflash.firmware.emulator.native_compiler import STRICT_WARNINGS

ROOT = Path(__file__).resolve().parents[2]
PORT = ROOT / "device/port/stm32cube"
OURS = [ROOT / "device/include", ROOT / "device/port/common", PORT, ROOT / "tests/c/tiny_model"]
LINKER_SCRIPT = PORT / "stm32cube.ld"


@pytest.fixture(scope="module")
def hal() -> Path:
    return st_hal.hal_folder()


def link(hal: Path, out: Path, files: list[Path], *options: str) -> Path:
    """Our C under all warnings, linked with ST's code."""
    board = load_board("nucleo_l476rg")
    image = out / "firmware.elf"
    defines = [f"-D{name}={value}" for name, value in sources.defines(board).items()]
    command = [
        "arm-none-eabi-gcc",
        *st_hal.MACHINE,
        "-std=c11",
        "-O2",
        "-ffunction-sections",
        "-fdata-sections",
    ]
    command += [*STRICT_WARNINGS, "-DSTM32L476xx", "-DUSE_HAL_DRIVER", *defines, *options]
    command += [*(f"-I{folder}" for folder in OURS), *st_hal.includes(hal)]
    command += [*map(str, files), "-Wl,--whole-archive", str(st_hal.library(hal)), "-Wl,--no-whole-archive"]
    command += ["-T", str(LINKER_SCRIPT), *sources.link_flags(board), "-Wl,--gc-sections"]
    command += ["--specs=nano.specs", "--specs=nosys.specs", "-o", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    errors = [line for line in done.stderr.splitlines() if "error" in line or "undefined" in line]
    assert done.returncode == 0, "\n".join(errors) or done.stderr
    return image


def symbols(image: Path) -> dict[str, int]:
    with image.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name: s["st_value"] for s in table.iter_symbols() if s["st_shndx"] != "SHN_UNDEF"}


def vectors(image: Path, count: int) -> list[int]:
    with image.open("rb") as file:
        data = ELFFile(file).get_section_by_name(".isr_vector").data()
    return [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(count)]


def runtime() -> list[Path]:
    return [
        *sorted((ROOT / "device/src").glob("*.c")),
        *sorted((ROOT / "device/stages").glob("*.c")),
        *sorted((ROOT / "device/port/common").glob("*.c")),
        *sorted(PORT.glob("*.c")),
        ROOT / "tests/c/tiny_model/sf_model.c",
    ]


def test_a_whole_firmware_links_and_its_handlers_are_in_sts_vector_table(hal: Path, tmp_path: Path) -> None:
    image = link(hal, tmp_path, [*runtime(), ROOT / "device/app/main.c"])
    found, table = symbols(image), vectors(image, 16 + 39)
    assert table[0] == found["_estack"] == 0x20018000, "the stack starts at the end of SRAM1"
    for index, name in ((1, "Reset_Handler"), (3, "HardFault_Handler"), (15, "SysTick_Handler")):
        assert table[index] & ~1 == found[name] & ~1, name
    assert table[16 + 38] & ~1 == found["USART2_IRQHandler"] & ~1
    assert found["sf_fault_record"] >= found["_ebss"], "the start-up code must not clear the record"
    assert found["sf_fault_record"] % 32 == 0


def test_a_users_own_clock_and_handlers_come_first(hal: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.c"
    own.write_text(
        '#include "stm32l4xx_hal.h"\n#include "port.h"\nvoid SystemClock_Config(void);\n'
        "UART_HandleTypeDef huart2;\n"
        "void SystemClock_Config(void) { SystemCoreClock = 4000000u; }\n"
        "void USART2_IRQHandler(void);\nvoid USART2_IRQHandler(void) { sf_uart_interrupt(); }\n"
        "void SysTick_Handler(void);\nvoid SysTick_Handler(void) { HAL_IncTick(); }\n"
    )
    options = (
        "-DSF_PORT_OWN_HANDLERS",
        "-DSF_PORT_UART_HANDLE=huart2",
        "-USF_PORT_WATCHDOG_MS",
        "-DSF_PORT_WATCHDOG_MS=4000",
    )
    image = link(hal, tmp_path, [*runtime(), ROOT / "device/app/main.c", own], *options)
    assert "huart2" in symbols(image)


def test_the_sensor_example_links(hal: Path, tmp_path: Path) -> None:
    example = sorted((ROOT / "examples/stm32cube_sensor/src").glob("*.c"))
    without_port = [path for path in runtime() if "port" not in path.parts]
    image = link(hal, tmp_path, [*example, *without_port], "-Wno-missing-prototypes")
    found = symbols(image)
    assert {"sensor_row", "dma_write", "sf_device_capture", "HAL_UART_Transmit_DMA"} <= set(found)
    assert vectors(image, 16 + 39)[16 + 16] & ~1 == found["DMA1_Channel6_IRQHandler"] & ~1
