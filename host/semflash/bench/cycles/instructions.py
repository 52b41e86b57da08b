"""What every instruction of a firmware is, as the timing table of docs/cycles.md sorts them.

Timings: Arm Cortex-M4 Technical Reference Manual (100166), table "Cortex-M4 instruction set summary", and its
notes on loads and stores; floating point from the table of the FPU chapter. Ranges stay ranges: a taken
branch refills in 1 to 3 cycles, a division takes 2 to 12.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from semflash.errors import BuildError, ToolMissingError
from semflash.processes import children

OBJDUMP = "arm-none-eabi-objdump"
_TIMEOUT_S = 120
_LINE = re.compile(r"\s*([0-9a-f]+):\t(\S+)\s*(.*)")
_CONDITION = "(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|hs|lo)"
_BRANCHES = re.compile(rf"(bl|bx|blx|b){_CONDITION}?|cbn?z")
_ALWAYS = ("bx", "pop", "ldm", "ldmia", "ldr", "mov")
_REGISTERS = {"sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}
_DIVIDE_ROOT_CYCLES, _FUSED_CYCLES, _LONG_CYCLES = 14, 3, 2


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        kind: "L" one load, "M" several words, "S" one store, "B" branch, "D" integer division, "F" floating
            point of `words` cycles, "." one cycle.
        words: Of "M": loaded or stored; of "F": cycles.
        flow: "c" call, "r" return, "q" return under a condition, "-" neither.
    """

    address: int
    kind: str
    words: int
    flow: str


def instructions(image: Path) -> Iterator[Instruction]:
    """All instructions of an ELF file for ARM.

    Raises:
        ToolMissingError: objdump of the Arm toolchain is not installed.
        BuildError: It fails.
    """
    program = shutil.which(OBJDUMP)
    if program is None:
        raise ToolMissingError("objdump for Arm is not installed", value=OBJDUMP, remedy="make setup")
    command = [program, "-d", "--no-show-raw-insn", str(image)]
    done = children.run(command, timeout_s=_TIMEOUT_S, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise BuildError("objdump failed", value=done.stderr[-400:], remedy="semflash build again")
    for line in done.stdout.splitlines():
        if found := _LINE.match(line):
            yield sort(int(found[1], 16), found[2], found[3])


def sort(address: int, mnemonic: str, operands: str) -> Instruction:
    """One line of a disassembly.

    >>> sort(0x8000100, "ldmia.w", "r0!, {r4, r5, r8-r11}")
    Instruction(address=134217984, kind='M', words=6, flow='-')
    """
    name = mnemonic.split(".")[0]
    kind, words = _kind(name, operands)
    return Instruction(address, kind, words, _flow(name, operands))


def _kind(name: str, operands: str) -> tuple[str, int]:
    if name.startswith(("ldrd", "strd")):
        return "M", 2
    if name.startswith(("ldm", "stm", "push", "pop", "vldm", "vstm", "vpush", "vpop")):
        return "M", _listed(operands)
    if name.startswith(("ldr", "vldr", "vstr", "tbb", "tbh")):
        return "L", 1
    if name.startswith("str"):
        return "S", 1
    if name.startswith(("sdiv", "udiv")):
        return "D", 1
    if name.startswith("v"):
        return "F", _floating(name, operands)
    return ("B", 1) if _BRANCHES.fullmatch(name) else (".", 1)


def _floating(name: str, operands: str) -> int:
    """Cycles of an instruction of the FPU."""
    if name.startswith(("vdiv", "vsqrt")):
        return _DIVIDE_ROOT_CYCLES
    if name.startswith(("vmla", "vmls", "vfma", "vfms", "vnml", "vfnm")):
        return _FUSED_CYCLES
    return _LONG_CYCLES if name.startswith("vmov") and operands.count(",") > 1 else 1


def _listed(operands: str) -> int:
    """Words of a register list; a double register is two."""
    found = re.search(r"\{(.*?)\}", operands)
    if found is None:
        return 1
    count = 0
    for part in found[1].split(","):
        first, _, last = part.strip().partition("-")
        count += _number(last) - _number(first) + 1 if last else 1
    return 2 * count if "{d" in operands else count


def _number(register: str) -> int:
    return _REGISTERS[register] if register in _REGISTERS else int(register[1:])


def _flow(name: str, operands: str) -> str:
    if re.fullmatch(rf"blx?{_CONDITION}?", name) and name not in ("ble", "blt", "bls", "blo"):
        return "c"
    loads_pc = name.startswith(("pop", "ldm")) and "pc" in operands
    goes_back = name.startswith("bx") and operands.strip() == "lr"
    other = (name.startswith("ldr") and operands.startswith("pc,")) or operands.startswith("pc, lr")
    if not (loads_pc or goes_back or other):
        return "-"
    return "r" if name in _ALWAYS else "q"
