"""Crashes in QEMU: the registers are stored, the board starts again, and the host is told."""

from __future__ import annotations

import re
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from c import tiny_reference as tiny
from c.test_emulated_port import Line, build, emulate, frames_of, pytestmark  # noqa: F401
from fakes.link_device import read_entries
from semflash.link.faults.kinds import parse_fault
from semflash.processes import children

RESET_FAULT = 5
#: A firmware that crashes on purpose: an image whose second row starts with 1, 2, 3 writes where nothing is.
FAULTY = r"""
#include "semflash/encoder.h"
sf_status_t __real_sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t n);
sf_status_t __wrap_sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t n);
__attribute__((naked, noinline)) void crash_here(void);
void crash_here(void) {
    __asm volatile("movw r0, #0x0000\n movt r0, #0x6000\n mov r1, #0x11\n mov r2, #0x22\n mov r3, #0x33\n"
                   "mov r12, #0xcc\n str r1, [r0]\n bx lr\n");
}
__attribute__((naked, noinline)) void overflow_here(void);
void overflow_here(void) {
    __asm volatile("movw r4, #0x0000\n movt r4, #0x2000\n mov sp, r4\n push {r0-r7}\n bx lr\n");
}
sf_status_t __wrap_sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t n) {
    if (row[0] == 1 && row[1] == 2 && row[2] == 3) {
        crash_here();
    }
    if (row[0] == 3 && row[1] == 2 && row[2] == 1) {
        overflow_here();
    }
    return __real_sf_encoder_push_row(encoder, row, n);
}
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "faulty.c").write_text(FAULTY)
    return build(folder, "-Wl,--wrap=sf_encoder_push_row", extra=[folder / "faulty.c"])


def picture(seed: int, *start: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(-128, 128, (28, 28)).astype(np.int8)
    values[1, : len(start)] = start
    return values


def crash(line: Line, *start: int) -> None:
    rows_payload = struct.unpack("<H", read_entries(line.hello())[4])[0]
    for frame in frames_of(picture(1, *start), 1, rows_payload):
        line.port.write(frame)


def address(image: Path, symbol: str) -> int:
    listing = subprocess.run(
        ["arm-none-eabi-nm", str(image)], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    [found] = [line.split()[0] for line in listing.splitlines() if line.endswith(f" {symbol}")]
    return int(found, 16)


def test_the_registers_of_a_crash_arrive_after_the_reset_and_the_board_works_on(faulty):
    with emulate(faulty) as line:
        hello = line.hello()
        assert struct.unpack("<I", read_entries(hello)[13])[0] & 4, "HELLO says that faults are reported"
        crash(line, 1, 2, 3)
        time.sleep(0.2)
        hello = line.hello()
        assert read_entries(hello)[10][0] == RESET_FAULT
        report = parse_fault(line.until("FAULT"))
        assert report is not None
        assert (report.r0, report.r1, report.r2, report.r3, report.r12) == (
            0x60000000,
            0x11,
            0x22,
            0x33,
            0xCC,
        )
        where = address(faulty, "crash_here")
        assert where < report.pc < where + 32
        text = address(faulty, "__wrap_sf_encoder_push_row")
        assert text < report.lr < text + 128, "the return address is in the caller"
        assert (report.count, report.exception, report.build_id) == (1, 3, 0x1234)
        assert report.cfsr & 0x8200 == 0x8200 and report.bfar == 0x60000000
        assert report.hfsr & 1 << 30 and report.xpsr & 1 << 24
        assert 0x20000000 < report.sp <= 0x20020000
        assert str(report).startswith("hard fault at pc 0x0800") and "bus fault on data access" in str(report)
        for frame in frames_of(picture(7), 2, struct.unpack("<H", read_entries(hello)[4])[0]):
            line.port.write(frame)
        assert line.until("CODES") == tiny.payload(picture(7))
        line.hello()
        assert parse_fault(line.until("FAULT")) == report, "it is told to every host until power is off"


def test_a_crash_with_a_ruined_stack_pointer_is_reported_too(faulty):
    with emulate(faulty) as line:
        crash(line, 3, 2, 1)
        time.sleep(0.2)
        assert read_entries(line.hello())[10][0] == RESET_FAULT
        report = parse_fault(line.until("FAULT"))
        assert report is not None
        assert report.cfsr & 0x1000, "the exception's entry could not store the registers"
        assert 0x1FFFFF00 < report.sp <= 0x20000000
        assert (report.pc, report.lr) == (0, 0), "what was not stored is not made up"


def test_crashes_are_counted(faulty):
    with emulate(faulty) as line:
        for count in (1, 2, 3, 4, 5, 6):
            crash(line, 1, 2, 3)
            time.sleep(0.2)
            line.hello()
            report = parse_fault(line.until("FAULT"))
            assert report is not None and report.count == count


def test_without_a_crash_no_fault_is_told(faulty):
    with emulate(faulty) as line:
        assert read_entries(line.hello())[10][0] != RESET_FAULT
        with pytest.raises(TimeoutError):
            line.until("FAULT", 0.5)


def peek(image: Path, symbol: str, words: int) -> list[int]:
    """Words at a symbol after half a second in the emulator, read through its monitor."""
    command = ["qemu-system-arm", "-M", "netduinoplus2", "-display", "none", "-serial", "null"]
    command += ["-monitor", "stdio", "-icount", "shift=0", "-kernel", str(image)]
    asks = f"xp /{words}xw {address(image, symbol):#x}"
    script = '(sleep 0.5; printf "%s\\n" "$0" quit) | "$@"'
    out = children.run(["sh", "-c", script, asks, *command], timeout_s=20).stdout
    lines = [line for line in out.splitlines() if re.match(r"[0-9a-f]{8,16}: 0x", line)]
    return [int(word, 16) for line in lines for word in line.split()[1:]]


def test_constructors_run_and_a_firmware_that_crashes_at_every_start_parks_with_its_registers(tmp_path):
    source = tmp_path / "faulty.c"
    source.write_text(
        "#include <stdint.h>\n"
        "__attribute__((constructor)) static void fault(void) {\n"
        "    *(volatile uint32_t *)0x60000000u = 1u; /* nothing is there */\n"
        "}\n",
        encoding="utf-8",
    )
    image = build(tmp_path, extra=[source])
    record = peek(image, "sf_fault_record", 20)
    assert record[0] == 0x53464655, "no fault was recorded"
    assert record[1] == 4, "it tried four times, then parked"
    pc, cfsr, hfsr, bfar = record[12], record[14], record[15], record[17]
    assert cfsr & 0x8200 == 0x8200 and bfar == 0x60000000, "a precise bus fault with its address"
    assert hfsr & 1 << 30 and 0x08000000 <= pc < 0x08100000


def test_the_watchdog_is_started_and_fed(tmp_path):
    image = build(tmp_path, "-DSF_PORT_WATCHDOG_MS=4000")
    trace = tmp_path / "trace"
    command = ["qemu-system-arm", "-M", "netduinoplus2", "-display", "none", "-monitor", "none"]
    command += [
        "-icount",
        "shift=0",
        "-d",
        "unimp",
        "-D",
        str(trace),
        "-kernel",
        str(image),
        "-serial",
        "null",
    ]
    emulator = children.start(command)
    time.sleep(1.0)
    children.end(emulator)
    found = re.findall(
        r"(?:IWDG|I2S2ext): unimplemented device write .*offset (0x\w+), value (0x\w+)",
        trace.read_text(),
    )
    writes = [(int(offset, 16), int(value, 16)) for offset, value in found]
    # QEMU 7.2 calls the address I2S2ext. RM0390 20.3: start, unlock, prescaler /256, reload 500 ticks of
    # 8 ms; then feeding, several times a second.
    assert writes[:4] == [(0, 0xCCCC), (0, 0x5555), (4, 6), (8, 499)]
    assert set(writes[4:]) == {(0, 0xAAAA)} and len(writes) > 6
