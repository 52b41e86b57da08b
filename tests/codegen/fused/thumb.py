"""Runs the generated kernels in Python: the Thumb-2 and DSP instructions that they consist of, no others.

Source: ARMv7-M Architecture Reference Manual (DDI 0403), chapter A7. Loads and stores of several words demand
addresses that are multiples of four, as the Cortex-M4 does.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_MASK = 0xFFFFFFFF
_REGISTERS = {f"r{i}": i for i in range(13)} | {"sp": 13, "lr": 14, "pc": 15}
_OPERANDS = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*")
_RETURN = 0xFFFFFFF0
#: A kernel that runs longer than that does not end.
_INSTRUCTIONS_MAX = 2_000_000

Operands = list[str]


def signed(value: int, bits: int = 32) -> int:
    """A number of so many bits in two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _shifted(value: int, shift: str) -> int:
    kind, text = shift.split()
    n = int(text.lstrip("#"), 0)
    match kind:
        case "lsl":
            return value << n & _MASK
        case "lsr":
            return value >> n
        case "asr":
            return signed(value) >> n & _MASK
        case "ror":
            return (value >> n | value << (32 - n)) & _MASK
    raise ValueError(f"unknown shift {shift}")


def _saturated(value: int, bits: int) -> int:
    return max(0, min(value, (1 << bits) - 1))


def _lanes(a: int, b: int, bits: int, function: Callable[[int, int], int]) -> int:
    lane = (1 << bits) - 1
    results = [(function(a >> i & lane, b >> i & lane) & lane) << i for i in range(0, 32, bits)]
    return sum(results)


def _halves(value: int) -> tuple[int, int]:
    return signed(value, 16), signed(value >> 16, 16)


#: Two operands, the second one perhaps shifted.
_BINARY: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "addw": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "and": lambda a, b: a & b,
    "orr": lambda a, b: a | b,
    "lsl": lambda a, b: a << (b & 0xFF),
    "lsr": lambda a, b: a >> (b & 0xFF),
    "asr": lambda a, b: signed(a) >> (b & 0xFF),
    "subw": lambda a, b: a - b,
    "pkhbt": lambda a, b: a & 0xFFFF | b & 0xFFFF0000,
    "pkhtb": lambda a, b: a & 0xFFFF0000 | b & 0xFFFF,
    "uqadd8": lambda a, b: _lanes(a, b, 8, lambda x, y: min(x + y, 0xFF)),
    "uqsub8": lambda a, b: _lanes(a, b, 8, lambda x, y: max(x - y, 0)),
    "uqadd16": lambda a, b: _lanes(a, b, 16, lambda x, y: min(x + y, 0xFFFF)),
    "uqsub16": lambda a, b: _lanes(a, b, 16, lambda x, y: max(x - y, 0)),
}
#: Two factors and what is added to their product.
_MULTIPLY: dict[str, Callable[[int, int, int], int]] = {
    "smlad": lambda a, b, c: c + sum(x * y for x, y in zip(_halves(a), _halves(b), strict=True)),
    "smlabb": lambda a, b, c: c + _halves(a)[0] * _halves(b)[0],
    "smlatt": lambda a, b, c: c + _halves(a)[1] * _halves(b)[1],
    "smmlar": lambda a, b, c: (signed(a) * signed(b) + (signed(c) << 32) + (1 << 31)) >> 32,
    "smmla": lambda a, b, c: (signed(a) * signed(b) + (signed(c) << 32)) >> 32,
}
_SIZES = {"ldr": 4, "ldrh": 2, "ldrb": 1, "str": 4, "strh": 2}


class Machine:
    """Registers and memory; addresses begin at 0."""

    def __init__(self, memory: bytearray, stack: int) -> None:
        self.memory = memory
        self._r = [0x0BAD0000 + i for i in range(16)]
        self._r[13], self._r[14] = stack, _RETURN
        self._zero = False
        self._at_least = [False] * 4

    def call(self, lines: list[str], argument: int) -> None:
        """Call a function with one argument; what the calling convention keeps must be as it was after it."""
        self._r[0] = argument
        kept = [*self._r[4:12], self._r[13]]
        places = [(line[:-1], at) for at, line in enumerate(lines) if line.endswith(":")]
        at = 0
        for _ in range(_INSTRUCTIONS_MAX):
            line = lines[at]
            at += 1
            if line.endswith(":") or line.startswith("."):
                continue
            name, _, rest = line.partition(" ")
            if name.startswith("b"):
                if self._taken(name.removesuffix(".w")):
                    at = _target(places, rest, at)
                continue
            self._do(name.removesuffix(".w"), _OPERANDS.findall(rest))
            if self._r[15] == _RETURN:
                assert [*self._r[4:12], self._r[13]] == kept, "registers or the stack are not restored"
                self._r[15] = 0
                return
        raise AssertionError("the kernel does not end")

    def _taken(self, name: str) -> bool:
        return {"b": True, "beq": self._zero, "bne": not self._zero}[name]

    def _do(self, name: str, operands: Operands) -> None:
        if name in _BINARY:
            first, second = self._value(operands[1]), self._second(operands[2:])
            self._set(operands[0], _BINARY[name](first, second))
        elif name in _MULTIPLY:
            self._set(operands[0], _MULTIPLY[name](*(self._value(text) for text in operands[1:])))
        elif name in ("ldmia", "stmia", "push", "pop", "ldrd", "strd"):
            self._several(name, operands)
        elif name in _SIZES:
            self._one(name, operands)
        else:
            self._others(name, operands)

    def _others(self, name: str, operands: Operands) -> None:
        match name:
            case "mov" | "movw":
                self._set(operands[0], self._value(operands[1]))
            case "mvn":
                self._set(operands[0], ~self._value(operands[1]))
            case "movt":
                self._set(operands[0], self._value(operands[0]) & 0xFFFF | self._value(operands[1]) << 16)
            case "uxtb16":
                self._set(operands[0], self._second(operands[1:]) & 0x00FF00FF)
            case "sxtb16":
                value = self._second(operands[1:])
                low, high = signed(value, 8), signed(value >> 16, 8)
                self._set(operands[0], low & 0xFFFF | (high & 0xFFFF) << 16)
            case "cmp":
                self._zero = self._value(operands[0]) == self._value(operands[1])
            case "subs":
                self._set(operands[0], self._value(operands[1]) - self._value(operands[2]))
                self._zero = self._value(operands[0]) == 0
            case "usat":
                bits = self._value(operands[1])
                self._set(operands[0], _saturated(signed(self._second(operands[2:])), bits))
            case "usat16":
                bits = self._value(operands[1])
                low, high = (_saturated(half, bits) for half in _halves(self._value(operands[2])))
                self._set(operands[0], low | high << 16)
            case "usub8" | "sel":
                self._bytewise(name, operands)
            case _:
                raise ValueError(f"unknown instruction {name} {operands}")

    def _bytewise(self, name: str, operands: Operands) -> None:
        a, b = (self._value(text).to_bytes(4, "little") for text in operands[1:])
        if name == "usub8":
            self._at_least = [x >= y for x, y in zip(a, b, strict=True)]
            result = bytes((x - y) & 0xFF for x, y in zip(a, b, strict=True))
        else:
            result = bytes(x if ge else y for x, y, ge in zip(a, b, self._at_least, strict=True))
        self._set(operands[0], int.from_bytes(result, "little"))

    def _one(self, name: str, operands: Operands) -> None:
        address, size = self._address(operands[1]), _SIZES[name]
        if name.startswith("str"):
            self._store(address, self._value(operands[0]), size)
        else:
            self._set(operands[0], int.from_bytes(self._read(address, size), "little"))
        if len(operands) == 3:
            register = operands[1].strip("[]")
            self._set(register, self._value(register) + self._value(operands[2]))

    def _several(self, name: str, operands: Operands) -> None:
        """Several words from an address on, upwards in the order of the registers' numbers."""
        back = ""
        if name in ("ldrd", "strd"):
            names, address = operands[:2], self._address(operands[2])
            if len(operands) == 4:
                register = operands[2].strip("[]")
                self._set(register, self._value(register) + self._value(operands[3]))
        else:
            names, base = _listed(operands[-1]), "sp" if name in ("push", "pop") else operands[0].rstrip("!")
            address = self._value(base) - (4 * len(names) if name == "push" else 0)
            back = base if base == "sp" or operands[0].endswith("!") else ""
        after = address if name == "push" else address + 4 * len(names)
        assert address % 4 == 0, f"{name} at address {address}"
        for i, register in enumerate(names):
            if name in ("ldmia", "pop", "ldrd"):
                self._set(register, int.from_bytes(self._read(address + 4 * i, 4), "little"))
            else:
                self._store(address + 4 * i, self._value(register))
        if back:
            self._set(back, after)

    def _address(self, text: str) -> int:
        parts = text.strip("[]").split(", ")
        return sum(self._value(part) for part in parts) & _MASK

    def _read(self, address: int, size: int) -> bytes:
        assert 0 <= address <= len(self.memory) - size, f"read at {address}"
        return bytes(self.memory[address : address + size])

    def _store(self, address: int, value: int, size: int = 4) -> None:
        assert 0 <= address <= len(self.memory) - size, f"write at {address}"
        self.memory[address : address + size] = (value & _MASK).to_bytes(4, "little")[:size]

    def _second(self, operands: Operands) -> int:
        value = self._value(operands[0])
        return value if len(operands) == 1 else _shifted(value, operands[1])

    def _value(self, text: str) -> int:
        return int(text[1:], 0) if text.startswith("#") else self._r[_REGISTERS[text]]

    def _set(self, register: str, value: int) -> None:
        self._r[_REGISTERS[register]] = value & _MASK


def _listed(text: str) -> list[str]:
    """Registers of {r4-r11, lr}, by number."""
    names: list[str] = []
    for part in text.strip("{}").split(", "):
        first, _, last = part.partition("-")
        numbers = range(_REGISTERS[first], _REGISTERS[last or first] + 1)
        names += [name for name, number in _REGISTERS.items() if number in numbers]
    return names


def _target(places: list[tuple[str, int]], label: str, at: int) -> int:
    """Where the label 2b or 8f is: the nearest one above or below."""
    found = [place for name, place in places if name == label[:-1]]
    return max(p for p in found if p < at) if label.endswith("b") else min(p for p in found if p >= at)
