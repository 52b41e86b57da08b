"""Clock trees of board descriptions: what frequency they make, and whether the part allows it.

Sources: ST RM0090 (F405), RM0390 (F446), RM0368 (F401), RM0351 (L476), RM0433 (H743), sections on RCC and
flash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

MHZ = 1_000_000
Source = Literal["hsi", "hse", "hse-bypass", "msi"]


class Pll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dividers of the main PLL: VCO = source / m x n, outputs VCO / p, / q, / r; 0: there is none."""

    m: int
    n: int
    p: int = 0
    q: int = 0
    r: int = 0


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From the oscillator to the buses.

    Attributes:
        source: "hsi" and "msi" are internal, "hse" is a crystal, "hse-bypass" a clock signal.
        source_hz: Its rate.
        pll_output: The one that clocks the CPU.
        ahb_divider: CPU to bus matrix.
        apb_dividers: Bus matrix to APB1 and APB2.
        over_drive: Needed by the F446 above 168 MHz.
    """

    source: Source
    source_hz: int
    pll: Pll
    flash_wait_states: int
    pll_output: Literal["p", "r"] = "p"
    ahb_divider: int = 1
    apb_dividers: tuple[int, int] = (1, 1)
    over_drive: bool = False

    @property
    def vco_hz(self) -> float:
        """Rate of the PLL's oscillator."""
        return self.source_hz / self.pll.m * self.pll.n

    @property
    def cpu_hz(self) -> float:
        """Rate of the CPU."""
        return self.vco_hz / (self.pll.r if self.pll_output == "r" else self.pll.p)

    @property
    def apb_hz(self) -> tuple[float, float]:
        """Rates of APB1 and APB2."""
        bus = self.cpu_hz / self.ahb_divider
        return bus / self.apb_dividers[0], bus / self.apb_dividers[1]


@dataclass(frozen=True)
class Limits:
    """What a part allows. Rates in MHz.

    Attributes:
        pll_input: The lowest and the highest rate of the PLL's input.
        vco: The lowest and the highest rate of the PLL's oscillator.
        cpu: The highest rate of the CPU.
        bus: The highest rate of the bus matrix.
        apb: The highest rates of APB1 and APB2.
        normal_cpu: Highest without over-drive.
        bus_per_wait_state: One flash wait state for each so many MHz of the bus matrix begun, but the first.
    """

    pll_input: tuple[float, float]
    vco: tuple[float, float]
    cpu: float
    bus: float
    apb: tuple[float, float]
    bus_per_wait_state: float
    normal_cpu: float = float("inf")


_PARTS = {
    "stm32f405": Limits((1, 2), (100, 432), 168, 168, (42, 84), 30),
    "stm32f446": Limits((1, 2), (100, 432), 180, 180, (45, 90), 30, normal_cpu=168),
    "stm32f401": Limits((1, 2), (192, 432), 84, 84, (42, 84), 30),
    "stm32l476": Limits((4, 16), (64, 344), 80, 80, (80, 80), 16),
    "stm32h743": Limits((1, 16), (192, 836), 400, 200, (100, 100), 70),
}


def problem(clock: Clock, clock_hz: int, mcu: str) -> str:
    """What is wrong with a clock tree that should make `clock_hz`; empty where nothing is.

    The limits are checked for the parts of the boards that semflash knows, the arithmetic for all.
    """
    pll = clock.pll
    output = pll.r if clock.pll_output == "r" else pll.p
    dividers = (pll.m, pll.n, output, clock.ahb_divider, *clock.apb_dividers)
    if min(dividers) < 1 or clock.source_hz <= 0 or clock.flash_wait_states < 0:
        return "a divider or rate of [clock] is not positive"
    if clock.cpu_hz != clock_hz:
        return f"[clock] makes {clock.cpu_hz / MHZ:g} MHz, clock_hz is {clock_hz / MHZ:g} MHz"
    limits = next((found for part, found in _PARTS.items() if mcu.startswith(part)), None)
    return "" if limits is None else _over_limit(clock, limits)


def _over_limit(clock: Clock, limits: Limits) -> str:
    bus = clock.cpu_hz / clock.ahb_divider / MHZ
    cpu, apb = clock.cpu_hz / MHZ, [rate / MHZ for rate in clock.apb_hz]
    ranges = (
        ("PLL input", clock.source_hz / clock.pll.m / MHZ, *limits.pll_input),
        ("VCO", clock.vco_hz / MHZ, *limits.vco),
        ("CPU", cpu, 0.0, limits.cpu),
        ("bus matrix", bus, 0.0, limits.bus),
        ("APB1", apb[0], 0.0, limits.apb[0]),
        ("APB2", apb[1], 0.0, limits.apb[1]),
    )
    for name, rate, low, high in ranges:
        if not low <= rate <= high:
            return f"{name} at {rate:g} MHz; the part allows {low:g} to {high:g} MHz"
    needed = int((bus * MHZ - 1) // (limits.bus_per_wait_state * MHZ))
    if clock.flash_wait_states < needed:
        return f"{clock.flash_wait_states} flash wait states; {bus:g} MHz needs {needed}"
    if cpu > limits.normal_cpu and not clock.over_drive:
        return f"{cpu:g} MHz needs over_drive"
    return ""
