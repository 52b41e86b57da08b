"""The frame of a generated kernel: a copy of the call's fields at the stack pointer, then patches.

While a kernel multiplies, r0 holds the place in the weights, r1-r3 weights, r12 and lr one step of both
pixels (LDRD from the patch), r4-r11 eight accumulators: 4 slots x 2 pixels. No register is left over, so
everything else lives in the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from semflash_codegen.fused.tables import Gather

#: accumulators by slot: (even pixel, odd pixel); r4-r11 is also their order in memory
ACC = (("r4", "r6"), ("r5", "r7"), ("r8", "r10"), ("r9", "r11"))
SUMS = "r4-r11"

CALL = ("weights", "end", "out0", "out1", "sums", "pairs", "delta", "step", "out_step", "rows")
STRIP_CALL = ("weights", "end", "weights2", "end2", "sums", "pairs", "delta", "rows")


@dataclass
class Body:
    """Lines of one function and its frame: the call's fields, `extra` words, patches."""

    patch_bytes: int
    rows: int
    fields: tuple[str, ...] = CALL
    extra: int = 0
    gather: Gather | None = None
    """Set where both pixels' rows are kept as pairs of pointers, see :func:`_gather`."""
    lines: list[str] = field(default_factory=list)

    def __call__(self, *lines: str) -> None:
        self.lines += lines

    def offset(self, name: str, index: int = 0) -> int:
        """Where a field of the call lies in the frame; "extra" is behind all fields."""
        rows = self.rows * (1 if self.gather is None else 2)
        at = len(self.fields) - 1 + rows if name == "extra" else self.fields.index(name)
        return 4 * (at + index)

    def at(self, name: str, index: int = 0) -> str:
        """The same as an operand."""
        return f"[sp, #{self.offset(name, index)}]"

    @property
    def base(self) -> int:
        """Where the patches begin."""
        return -(-(self.offset("extra") + 4 * self.extra) // 8) * 8

    @property
    def frame(self) -> int:
        return self.base + -(-self.patch_bytes // 8) * 8

    def enter(self) -> None:
        self("push {r4-r11, lr}", f"sub sp, sp, #{self.frame}", "mov r12, sp")
        for count in (len(self.fields) - 1, 0 if self.gather is not None else self.rows):
            if count:
                registers = "{" + ", ".join(f"r{1 + i}" for i in range(count)) + "}"
                self(f"ldmia r0!, {registers}", f"stmia r12!, {registers}")

    def pair_rows(self, ahead: int) -> None:
        """Behind `enter`: both pixels' pointers to every row, moved `ahead` bytes on."""
        assert self.gather is not None
        self(f"ldr r4, {self.at('delta')}")
        for _ in range(self.rows):
            self(
                "ldr r1, [r0], #4",
                *add_constant("r1", ahead, "r3"),
                "add r2, r1, r4",
                "stmia r12!, {r1, r2}",
            )

    def leave(self) -> None:
        self(f"add sp, sp, #{self.frame}", "pop {r4-r11, pc}")


def advance(register: str, value: int, free: str) -> list[str]:
    """register += value, which may be negative."""
    if value < 0 and value > -4096:
        return [f"subw {register}, {register}, #{-value}"]
    return add_constant(register, value, free)


def add_constant(register: str, value: int, free: str) -> list[str]:
    """register += value; free: a register that may be lost."""
    if value == 0:
        return []
    if value < 4096:
        return [f"addw {register}, {register}, #{value}"]
    return [*_constant(free, value & 0xFFFFFFFF), f"add {register}, {register}, {free}"]


def add_to(target: str, register: str, value: int) -> list[str]:
    """target = register + value."""
    if value < 4096:
        return [f"addw {target}, {register}, #{value}"]
    return [*_constant(target, value), f"add {target}, {target}, {register}"]


def _constant(register: str, value: int) -> list[str]:
    high = [f"movt {register}, #{value >> 16}"] if value > 0xFFFF else []
    return [f"movw {register}, #{value & 0xFFFF}", *high]
