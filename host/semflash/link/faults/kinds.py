"""FAULT: the registers of a crash, as the device tells them after the reset (docs/wire-format.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_FIELDS = struct.Struct("<17I")
FAULT_BYTES = _FIELDS.size
_EXCEPTIONS = {3: "hard fault", 4: "memory fault", 5: "bus fault", 6: "usage fault", 2: "NMI"}
#: Bits of CFSR (Arm DDI 0403E, B3.2.15) that say what went wrong.
_CAUSES = {
    0: "instruction fetched where none may be",
    1: "data access that is not allowed",
    3: "memory fault on return from an exception",
    4: "memory fault on exception entry: stack overflow?",
    8: "bus fault on instruction fetch",
    9: "bus fault on data access",
    10: "bus fault on an earlier write",
    11: "bus fault on return from an exception",
    12: "bus fault on exception entry: stack overflow?",
    16: "undefined instruction",
    17: "not Thumb state: jump to an even address",
    18: "return to a wrong address",
    19: "no coprocessor: the FPU is off",
    24: "unaligned access",
    25: "division by zero",
}
_MMFAR_VALID, _BFAR_VALID = 1 << 7, 1 << 15


@dataclass(frozen=True)
class FaultReport:
    """One crash. All fields u32, in the order of the frame.

    Attributes:
        count: crashes since power-on. build_id: of the firmware that crashed. exception: its number.
        sp: before the exception. r0 .. xpsr: as stacked. cfsr .. bfar: the core's fault registers.
    """

    count: int
    build_id: int
    exception: int
    exc_return: int
    sp: int
    r0: int
    r1: int
    r2: int
    r3: int
    r12: int
    lr: int
    pc: int
    xpsr: int
    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int

    @property
    def cause(self) -> str:
        """What went wrong, for people."""
        causes = [text for bit, text in _CAUSES.items() if self.cfsr >> bit & 1]
        if self.cfsr & _BFAR_VALID:
            causes.append(f"address {self.bfar:#010x}")
        elif self.cfsr & _MMFAR_VALID:
            causes.append(f"address {self.mmfar:#010x}")
        return ", ".join(causes) or "cause unknown"

    def __str__(self) -> str:
        kind = _EXCEPTIONS.get(self.exception, f"exception {self.exception}")
        return f"{kind} at pc {self.pc:#010x}, lr {self.lr:#010x}, sp {self.sp:#010x}: {self.cause}"


def parse_fault(payload: bytes) -> FaultReport | None:
    """The payload of FAULT; None where the size is wrong."""
    return FaultReport(*_FIELDS.unpack(payload)) if len(payload) == FAULT_BYTES else None
