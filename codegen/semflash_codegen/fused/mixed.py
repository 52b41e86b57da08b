"""Byte-mixed weights: two int8 weights in one halfword, multiplied at the speed of int16.

A halfword h = w_a + 256 w_b is one factor of SMLAD, its lower byte alone (SXTB16) another:

    M += x h;  E += x w_a;  then E is a's accumulator and (M - E) / 256 is b's, exactly, modulo 2^32

so that a word of four weights takes one SXTB16. b's accumulator must stay below 2^23, and h must fit 16 bits,
which fails only for w_b = -128 beside a negative w_a; :func:`mixable` checks both. In a group of four slots a
and b are slots 0 and 1, and slots 2 and 3. The loop over the steps of a patch is short enough for the
instruction cache in front of the flash.
"""

from __future__ import annotations

from semflash_codegen.fused.exact import Bools, ExactForm
from semflash_codegen.fused.frame import ACC, Body
from semflash_codegen.fused.layers import Conv
from semflash_codegen.fused.requantise import Ints

_B_BITS = 23
#: Steps of one turn: its 56 bytes a step, gathering and finishing fit 1 KB together.
_TURN_STEPS = range(4, 11)
_STEP_CYCLES, _TURN_CYCLES = 15, 8


def mixable(layer: Conv, low: Ints, high: Ints, live: Bools) -> bool:
    """Whether pairs of weights fit a halfword, and accumulators between `low` and `high` 24 bits.

    live: channels that count.
    """
    fits = bool((low[live] >= -(1 << _B_BITS)).all() and (high[live] < 1 << _B_BITS).all())
    return fits and int(layer.weights[live].min(initial=0)) > -128


def turn_steps(steps: int) -> int:
    """Steps of one turn: as few steps of zeros and as few turns as possible."""
    if steps <= _TURN_STEPS[-1]:
        return steps
    return min(
        _TURN_STEPS, key=lambda turn: (-(-steps // turn) * (turn * _STEP_CYCLES + _TURN_CYCLES), -turn)
    )


def padded_steps(steps: int) -> int:
    """Steps with those of zeros, a multiple of a turn's."""
    turn = turn_steps(steps)
    return -(-steps // turn) * turn


def multiply(body: Body, steps: int, at: int) -> None:
    """All steps of the patch at sp + `at`; accumulators hold what comes before. steps: padded."""
    turn = turn_steps(steps)
    loop = steps > turn
    (e0, e0_odd), (m0, m0_odd), (e1, e1_odd), (m1, m1_odd) = ACC
    place, base = ("r3", 0) if loop else ("sp", at)
    if loop:
        body(f"addw r3, sp, #{at}", ".balign 4", "9:")
    for step in range(turn):
        body(f"ldr.w r1, [r0, #{8 * step}]", f"ldr.w r2, [r0, #{8 * step + 4}]")
        body(f"ldr.w r12, [{place}, #{base + 8 * step}]", f"ldr.w lr, [{place}, #{base + 8 * step + 4}]")
        for even, odd, weight in ((m0, m0_odd, "r1"), (m1, m1_odd, "r2")):
            body(f"smlad {even}, r12, {weight}, {even}", f"smlad {odd}, lr, {weight}, {odd}")
        body("sxtb16 r1, r1", "sxtb16 r2, r2")
        for even, odd, weight in ((e0, e0_odd, "r1"), (e1, e1_odd, "r2")):
            body(f"smlad {even}, r12, {weight}, {even}", f"smlad {odd}, lr, {weight}, {odd}")
    if loop:
        body(f"addw r1, sp, #{at + 8 * steps}")
    body(f"add.w r0, r0, #{8 * turn}")
    if loop:
        body(f"add.w r3, r3, #{8 * turn}", "cmp.w r3, r1", "bne.w 9b")


def separate(body: Body) -> None:
    """Every accumulator to twice its channel's sum."""
    for mixed, low in ((ACC[1], ACC[0]), (ACC[3], ACC[2])):
        for m, e in zip(mixed, low, strict=True):
            body(f"sub.w {m}, {m}, {e}")
        for m, e in zip(mixed, low, strict=True):
            body(f"asr.w {m}, {m}, #7", f"lsl.w {e}, {e}, #1")


def scale(body: Body, form: ExactForm, accumulators: tuple[str, ...]) -> None:
    """Twice the sums of one channel to bytes; its coefficients are next. r1-r3 and r12 are free."""
    body("ldmia.w r0!, {r1, r2" + ("" if form.shift else ", r3") + "}")
    for acc in accumulators:
        if form.signed:
            body(f"smmlar r12, {acc}, r1, r2", f"add.w {acc}, r12, {acc}, asr #31")
        else:
            body(f"smmlar {acc}, {acc}, r1, r2")
        if form.shift:
            body(f"usat {acc}, #8, {acc}, asr #{form.shift}")
        else:
            body(f"asr.w {acc}, {acc}, r3", f"usat {acc}, #8, {acc}")


def coefficients(form: ExactForm, members: list[int | None]) -> list[int]:
    """Requantisation words of some channels: m, R and, where shifts differ, n."""
    words = []
    for channel in members:
        entry = [0, 0, 1] if channel is None else [int(x[channel]) for x in (form.m, form.r, form.n)]
        words += entry[: 2 if form.shift else 3]
    return [word & 0xFFFFFFFF for word in words]
