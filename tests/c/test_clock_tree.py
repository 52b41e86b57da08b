"""The STM32F4's clock set-up against a model of its registers: what it makes of each board's description.

The registers are decoded here by the reference manual's formulas (RM0390 section 6.3), not by the port's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cffi import FFI

from semflash.firmware.boards.descriptions import Board, list_boards
from semflash.firmware.emulator.native_compiler import STRICT_WARNINGS, compile_native

ROOT = Path(__file__).resolve().parents[2]
PORT = ROOT / "device/port/stm32f4"
HSI_HZ = 16_000_000
NO_HSI, NO_HSE, NO_PLL, NO_OVER_DRIVE = 1, 2, 4, 8
BOARDS = [board for board in list_boards() if board.port == "stm32f4"]


@dataclass(frozen=True)
class Tree:
    """The clock tree as the registers say."""

    cpu_hz: float
    apb1_hz: float
    apb2_hz: float
    pll_input_hz: float
    vco_hz: float
    wait_states: int
    over_drive: bool
    bypass: bool
    reported: tuple[int, int, int]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[FFI, Any]:
    out = tmp_path_factory.mktemp("clock") / "clock.so"
    header = tmp_path_factory.mktemp("header")
    (header / "with_model.c").write_text('#include "clock_model.h"\n#include "clock.c"\n')
    sources = [header / "with_model.c", ROOT / "tests/c/clock_model.c"]
    compile_native(sources, [PORT, ROOT / "tests/c"], out, warnings=STRICT_WARNINGS)
    ffi = FFI()
    text = (PORT / "clock.h").read_text()
    ffi.cdef(text[text.index("typedef struct sf_clock_plan") : text.index("} sf_clock_plan_t;") + 18])
    ffi.cdef("void clock_model_run(const sf_clock_plan_t *plan, uint32_t lacks, uint32_t out[8]);")
    return ffi, ffi.dlopen(str(out))


def run(model: tuple[FFI, Any], board: Board, lacks: int = 0) -> Tree:
    """The tree after the port has set it up by the description of `board`."""
    ffi, lib = model
    clock = board.clock
    assert clock is not None
    external = clock.source.startswith("hse")
    plan = ffi.new(
        "sf_clock_plan_t *",
        {
            "cpu_hz": board.clock_hz,
            "hse_hz": clock.source_hz if external else 0,
            "hse_bypass": clock.source == "hse-bypass",
            "over_drive": clock.over_drive,
            "apb1_divider": clock.apb_dividers[0],
            "apb2_divider": clock.apb_dividers[1],
            "wait_states": clock.flash_wait_states,
            "pll_p": clock.pll.p,
            "pll_q": clock.pll.q,
            "pll_m": clock.pll.m,
            "pll_n": clock.pll.n,
        },
    )
    out = ffi.new("uint32_t[8]")
    lib.clock_model_run(plan, lacks, out)
    control, pll, configuration, flash, power, *reported = out
    source = (clock.source_hz if control >> 17 & 1 else 0) if pll >> 22 & 1 else HSI_HZ
    pll_input = source / (pll & 0x3F) if pll else 0.0
    vco = pll_input * (pll >> 6 & 0x1FF)
    system = vco / (((pll >> 16 & 3) + 1) * 2) if configuration >> 2 & 3 == 2 else HSI_HZ
    divider = [1, 1, 1, 1, 2, 4, 8, 16]
    apb1, apb2 = (system / divider[configuration >> shift & 7] for shift in (10, 13))
    over_drive, bypass = power >> 16 & 3 == 3, bool(control >> 18 & 1)
    return Tree(system, apb1, apb2, pll_input, vco, flash & 15, over_drive, bypass, tuple(reported))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
@pytest.mark.parametrize("lacks", [0, NO_HSE], ids=["all there", "no HSE"])
def test_the_part_runs_at_the_rate_of_its_description_with_and_without_hse(
    model: tuple[FFI, Any], board: Board, lacks: int
) -> None:
    tree = run(model, board, lacks)
    assert tree.cpu_hz == board.clock_hz
    assert tree.reported == (tree.cpu_hz, tree.apb1_hz, tree.apb2_hz), "the baud rate is made from these"
    assert 1e6 <= tree.pll_input_hz <= 2e6 and 192e6 <= tree.vco_hz <= 432e6
    limits = {"f446": (45e6, 90e6), "f405": (42e6, 84e6), "f401": (42e6, 84e6)}[board.mcu[5:9]]
    assert tree.apb1_hz <= limits[0] and tree.apb2_hz <= limits[1]
    assert tree.wait_states >= (board.clock_hz - 1) // 30_000_000, "one for each 30 MHz at 2.7 to 3.6 V"
    assert tree.over_drive == (board.clock_hz > 168_000_000)
    assert board.clock is not None and tree.bypass == (board.clock.source == "hse-bypass")


@pytest.mark.parametrize("lacks", [NO_HSI, NO_PLL, NO_OVER_DRIVE], ids=["HSI", "PLL", "over-drive"])
def test_what_does_not_start_leaves_the_part_on_its_internal_clock(
    model: tuple[FFI, Any], lacks: int
) -> None:
    [board] = [board for board in BOARDS if board.name == "nucleo_f446re"]
    tree = run(model, board, lacks)
    assert (tree.cpu_hz, tree.reported) == (HSI_HZ, (HSI_HZ,) * 3)
