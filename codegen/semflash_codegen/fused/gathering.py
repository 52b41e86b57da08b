"""Code that gathers input bytes into a patch of 16-bit pairs, both pixels interleaved."""

from __future__ import annotations

from dataclasses import dataclass

from semflash_codegen.fused.frame import Body, add_constant, add_to, advance
from semflash_codegen.fused.tables import Gather

_LOOP_WORDS = 16
"""Longer runs are gathered in a loop."""


def gather_patch(body: Body, gather: Gather, step: int, gain: int) -> None:
    """Both pixels' bytes to the patch, two per word, interleaved; r10, r11 hold a single without its partner.

    The pointers of a row point to the word or byte that is read last, and are moved on by that very load.
    """
    singles = gather.rows * (0, 1, 2, 1)[gather.left]
    at = body.base + 8 * (gather.steps - (singles + 1) // 2)
    held = False
    body(f"add r12, sp, #{body.base}")
    _mask(body, gain)

    def single(even: str, odd: str) -> None:
        """`even`, `odd`: instructions with {} for the target."""
        nonlocal held, at
        if not held:
            body(even.format("r10"), odd.format("r11"))
        else:
            body(even.format("r4"), odd.format("r5"))
            body("pkhbt r10, r10, r4, lsl #16", "pkhbt r11, r11, r5, lsl #16", f"strd r10, r11, [sp, #{at}]")
            at += 8
        held = not held

    for row in range(gather.rows):
        body(f"ldrd r0, r1, {body.at('rows', 2 * row)}")
        even, odd = _Reader("r0", gather.last, step), _Reader("r1", gather.last, step)
        _words(body, gather.words, even, odd, gain)
        end = 4 * gather.words
        if gather.left == 1 and gain:
            body(even.load("ldrb", "r2", end), odd.load("ldrb", "r3", end))
            single(f"lsl {{}}, r2, #{gain}", f"lsl {{}}, r3, #{gain}")
        elif gather.left == 1:
            single(even.load("ldrb", "{}", end), odd.load("ldrb", "{}", end))
        elif gather.left == 2:
            body(even.load("ldrh", "r2", end), odd.load("ldrh", "r3", end))
            single(_spread("{}", "r2", 0, gain), _spread("{}", "r3", 0, gain))
            single(_spread("{}", "r2", 8, gain), _spread("{}", "r3", 8, gain))
        elif gather.left == 3:
            body(even.load("ldr", "r2", end), odd.load("ldr", "r3", end))
            body(_spread("r4", "r2", 0, gain), _spread("r5", "r3", 0, gain), "stmia r12!, {r4, r5}")
            single(_spread("{}", "r2", 8, gain), _spread("{}", "r3", 8, gain))
        if step > 255:
            body(*add_constant("r0", step, "r2"), *add_constant("r1", step, "r2"))
        body(f"strd r0, r1, {body.at('rows', 2 * row)}")
    if held:
        body(f"strd r10, r11, [sp, #{at}]")


def gather_adjacent(body: Body, gather: Gather, gain: int) -> None:
    """The patch of a kernel three bytes wide (one channel, stride 1): a word per row holds both pixels.

    Even pixel: (b0, b2) and b1; odd pixel: (b1, b3) and b2, in the two halves that the word unpacks to.
    """
    at = body.base
    single = body.base + 8 * (gather.steps - (gather.rows + 1) // 2)
    _mask(body, gain)
    for row in range(gather.rows):
        even, odd = ("r2", "r3") if row % 2 == 0 else ("r4", "r5")
        body(f"ldr r0, {body.at('rows', 2 * row)}", "ldr r1, [r0], #2", f"str r0, {body.at('rows', 2 * row)}")
        body(_spread(even, "r1", 0, gain), _spread(odd, "r1", 8, gain), f"strd {even}, {odd}, [sp, #{at}]")
        at += 8
        if row % 2:
            body("pkhbt r6, r3, r5, lsl #16", "pkhtb r7, r4, r2, asr #16", f"strd r6, r7, [sp, #{single}]")
            single += 8
    if gather.rows % 2:
        body("lsr r2, r2, #16", f"strd r3, r2, [sp, #{single}]")


def gather_one(body: Body, gather: Gather, step: int, gain: int, place: str) -> None:
    """One row of whole words, whose pointers r2 points to; `place` then points to the next row's."""
    body("ldrd r0, r1, [r2]", f"add r12, sp, #{body.base}")
    _mask(body, gain)
    _words(body, gather.words, _Reader("r0", gather.last, step), _Reader("r1", gather.last, step), gain)
    if step > 255:
        body(*add_constant("r0", step, "r3"), *add_constant("r1", step, "r3"))
    body(f"ldr r2, {place}", "stmia r2!, {r0, r1}", f"str r2, {place}")


def _mask(body: Body, gain: int) -> None:
    """r8: which bits of a shifted word are its bytes."""
    if gain:
        body(f"movw r8, #{0xFF << gain}", f"movt r8, #{0xFF << gain}")


@dataclass(frozen=True)
class _Reader:
    """Loads relative to a pointer that points to offset `last`; that one moves it by `step` if it fits."""

    register: str
    last: int
    step: int

    def load(self, operation: str, target: str, at: int) -> str:
        if at == self.last and self.step <= 255:
            return f"{operation} {target}, [{self.register}], #{self.step}"
        return f"{operation} {target}, [{self.register}, #{at - self.last}]"


def _spread(target: str, source: str, rotation: int, gain: int) -> str:
    """Bytes 0 and 2 (rotation 0) or 1 and 3 (8) as halfwords, times 2^gain; r8 holds the mask where there is
    one."""
    if not gain:
        return f"uxtb16 {target}, {source}" + (f", ror #{rotation}" if rotation else "")
    shift = f"lsl #{gain}" if rotation == 0 else f"lsr #{rotation - gain}"
    return f"and {target}, r8, {source}, {shift}"


def _spread_two(gain: int) -> list[str]:
    """Two words of both pixels, in r6, r7, r9 and lr, to r2-r7, r9 and lr in the order of the patch."""
    plan = (
        ("r2", "r6", 0),
        ("r3", "r7", 0),
        ("r4", "r6", 8),
        ("r5", "r7", 8),
        ("r6", "r9", 0),
        ("r7", "lr", 0),
        ("r9", "r9", 8),
        ("lr", "lr", 8),
    )
    return [
        *(_spread(to, source, rotation, gain) for to, source, rotation in plan),
        "stmia r12!, {r2-r7, r9, lr}",
    ]


def _spread_one(gain: int) -> list[str]:
    """One word of both pixels, in r2 and r3."""
    plan = (("r4", "r2", 0), ("r5", "r3", 0), ("r6", "r2", 8), ("r7", "r3", 8))
    return [*(_spread(to, source, rotation, gain) for to, source, rotation in plan), "stmia r12!, {r4-r7}"]


def _words(body: Body, count: int, even: _Reader, odd: _Reader, gain: int = 0) -> None:
    """Unpack `count` words of both pixels to r12; r8, r10 and r11 stay."""
    for at in range(0, 4 * (count - count % 2), 8):
        body(even.load("ldr", "r6", at), odd.load("ldr", "r7", at))
        body(even.load("ldr", "r9", at + 4), odd.load("ldr", "lr", at + 4), *_spread_two(gain))
    if count % 2:
        at = 4 * count - 4
        body(even.load("ldr", "r2", at), odd.load("ldr", "r3", at), *_spread_one(gain))


def gather_looped(body: Body, gather: Gather, step: int) -> None:
    """Both pixels' whole words to the patch, in loops; rows' pointers point to their first bytes."""
    start, count = body.offset("rows"), gather.rows
    body(f"add r12, sp, #{body.base}", f"add r10, sp, #{start}")
    if count > 1:
        body(f"add r11, sp, #{start + 8 * count}", "12:")
    body("ldrd r0, r1, [r10]")
    _word_loop(body, gather.words)
    body(*advance("r0", step - 4 * gather.words, "r2"), *advance("r1", step - 4 * gather.words, "r2"))
    body("strd r0, r1, [r10], #8")
    if count > 1:
        body("cmp r10, r11", "bne 12b")


def gather_one_looped(body: Body, gather: Gather, step: int, place: str) -> None:
    """One row as :func:`gather_one` does, in a loop; its pointers point to their first bytes."""
    body("ldrd r0, r1, [r2]", f"add r12, sp, #{body.base}")
    _word_loop(body, gather.words)
    body(*advance("r0", step - 4 * gather.words, "r3"), *advance("r1", step - 4 * gather.words, "r3"))
    body(f"ldr r2, {place}", "stmia r2!, {r0, r1}", f"str r2, {place}")


def gather_run(body: Body, count: int, longest: int = _LOOP_WORDS) -> None:
    """One run of whole words of both pixels, in a loop over two words where it has more than `longest`."""
    body(f"ldr r0, {body.at('rows')}", f"ldr r8, {body.at('delta')}", f"add r12, sp, #{body.base}")
    body("add r1, r0, r8")
    if count <= longest:
        _words(body, count, _Reader("r0", 0, 256), _Reader("r1", 0, 256))
    else:
        _word_loop(body, count)


def _word_loop(body: Body, count: int) -> None:
    """`count` words of both pixels to r12, in a loop over two; r0, r1 move on, r10 and r11 stay."""
    if count % 2:
        body("ldr r2, [r0], #4", "ldr r3, [r1], #4", *_spread_one(0))
    if count > 3:
        body(*add_to("r8", "r0", 4 * (count - count % 2)), "13:")
    if count > 1:
        body("ldr r6, [r0], #4", "ldr r7, [r1], #4", "ldr r9, [r0], #4", "ldr lr, [r1], #4")
        body(*_spread_two(0))
    if count > 3:
        body("cmp r0, r8", "bne 13b")
