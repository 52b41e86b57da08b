"""Code that multiplies a patch with weights, requantises the accumulators and stores the pixels."""

from __future__ import annotations

from semflash_codegen.fused import mixed
from semflash_codegen.fused.convolution import MAX, ConvTables
from semflash_codegen.fused.exact import ExactForm
from semflash_codegen.fused.frame import ACC, Body
from semflash_codegen.fused.requantise import CheapForm


def multiply(body: Body, tables: ConvTables, *, start: bool, at: int) -> None:
    """All steps of the patch at sp + `at` into the accumulators. start: r4, r5, r8, r9 hold the bias of both
    pixels."""
    if tables.mixed:
        if start:
            body(*(f"mov.w {odd}, {even}" for even, odd in ACC))
        mixed.multiply(body, tables.steps, at)
        return

    def both(slot: int, weight: str, first: bool) -> None:
        even, odd = ACC[slot]
        if first:  # the odd pixel starts from the same bias
            body(f"smlad {odd}, lr, {weight}, {even}", f"smlad {even}, r12, {weight}, {even}")
        else:
            body(f"smlad {even}, r12, {weight}, {even}", f"smlad {odd}, lr, {weight}, {odd}")

    queue: list[str] = []
    left = 4 * tables.steps
    for step in range(tables.steps):
        for slot in range(4):
            if not queue:
                queue = ["r1", "r2", "r3"][: min(3, left)]
                left -= len(queue)
                body("ldmia r0!, {" + ", ".join(queue) + "}")
            if slot == 0:
                body(f"ldrd r12, lr, [sp, #{at + 8 * step}]")
            both(slot, queue.pop(0), start and step == 0)


def multiply_single(body: Body, steps: int, at: int, pixel: int = 0) -> None:
    """All steps of one pixel alone, int16 weights: the last column of an odd width."""
    for step in range(steps):
        body(f"ldr lr, [sp, #{at + 8 * step + 4 * pixel}]", "ldmia r0!, {r1, r2, r3, r12}")
        for slot, weight in enumerate(("r1", "r2", "r3", "r12")):
            acc = ACC[slot][pixel]
            body(f"smlad {acc}, lr, {weight}, {acc}")


def requantise(body: Body, form: CheapForm | ExactForm) -> None:
    """Accumulators to values scaled by 2^S, or to bytes (exact form); r1-r3, r12 and lr are free."""
    if isinstance(form, ExactForm):
        mixed.separate(body)
        for accumulators in ACC:
            mixed.scale(body, form, accumulators)
        return
    if not form.signed:
        for slots in ((0, 1), (2, 3)):
            body("ldmia r0!, {r1, r2, r3, r12}")
            for slot, (m, b) in zip(slots, (("r1", "r2"), ("r3", "r12")), strict=True):
                body(*(f"smmla {acc}, {acc}, {m}, {b}" for acc in ACC[slot]))
        return
    for slot in range(4):
        body("ldmia r0!, {r1, r2, r3}")
        for acc in ACC[slot]:
            body(f"and lr, r3, {acc}, asr #31", f"smmla {acc}, {acc}, r1, r2", f"sub {acc}, {acc}, lr")


def pack(body: Body, form: CheapForm | ExactForm, patch_out: bool) -> None:
    """To bytes 0..255: r4 and r6 one word per pixel, or (patch_out) 16-bit pairs in r4, r6, r8, r10."""
    pairs = (("r4", "r5"), ("r6", "r7"), ("r8", "r9"), ("r10", "r11"))
    for a, b in pairs:
        if isinstance(form, ExactForm):
            body(f"orr {a}, {a}, {b}, lsl #16")
        elif form.packed:
            body(f"pkhtb {a}, {b}, {a}, asr #16", f"usat16 {a}, #8, {a}")
        else:
            body(f"usat {a}, #8, {a}, asr #{form.s}", f"usat {b}, #8, {b}, asr #{form.s}")
            body(f"orr {a}, {a}, {b}, lsl #16")
    if patch_out:
        clamp(body, form, [a for a, _ in pairs], pairs=True)
        return
    body("orr r4, r4, r8, lsl #8", "orr r6, r6, r10, lsl #8")
    clamp(body, form, ["r4", "r6"], pairs=False)


def clamp(body: Body, form: CheapForm | ExactForm, values: list[str], *, pairs: bool) -> None:
    """Bounds of the activation other than 0 and 255, by saturating adds; r1 is free."""
    bits = 16 if pairs else 8
    spread = 0x00010001 if pairs else 0x01010101
    if form.low > 0:
        body(f"mov r1, #0x{form.low * spread:08x}")
        body(*(f"uqsub{bits} {v}, {v}, r1" for v in values), *(f"add {v}, {v}, r1" for v in values))
    if form.high < 255:
        top = form.high * spread
        body(f"mvn r1, #0x{top:08x}" if form.high else "mov r1, #0xffffffff")
        body(*(f"uqadd{bits} {v}, {v}, r1" for v in values), *(f"sub {v}, {v}, r1" for v in values))


def store_pixels(body: Body, store: str, index: int, unroll: int, *, looping: bool) -> None:
    """r4 and r6 to their pixels, or the larger of both and of what is there to one (MAX). r1, r2 keep the
    places."""
    last = index == unroll - 1
    if store == MAX:
        body(f"ldr r1, {body.at('out0')}", "usub8 r2, r4, r6", "sel r4, r4, r6")
        body(
            f"ldr r3, [r1, #-{4 * index}]",
            "usub8 r2, r4, r3",
            "sel r4, r4, r3",
            f"str r4, [r1, #-{4 * index}]",
        )
        if looping and last:
            body(f"sub r1, r1, #{4 * unroll}", f"str r1, {body.at('out0')}")
        return
    body(f"ldrd r1, r2, {body.at('out0')}")
    if unroll == 1 and looping:
        body("str r4, [r1], #-4", "str r6, [r2], #-4", f"strd r1, r2, {body.at('out0')}")
        return
    body(f"str r4, [r1, #-{4 * index}]", f"str r6, [r2, #-{4 * index}]")
    if looping and last:
        body(f"sub r1, r1, #{4 * unroll}", f"sub r2, r2, #{4 * unroll}", f"strd r1, r2, {body.at('out0')}")


def next_pair(body: Body, store: str, not_yet: int) -> None:
    """Outputs of the next pair; r1, r2 still hold the places. not_yet: bytes that no store subtracted."""
    body(f"ldr r3, {body.at('out_step')}")
    if not_yet:
        body(f"sub r3, r3, #{not_yet}")
    if store == MAX:
        body("add r1, r1, r3", f"str r1, {body.at('out0')}")
    else:
        body("add r1, r1, r3", "add r2, r2, r3", f"strd r1, r2, {body.at('out0')}")
    count_pairs(body)


def count_pairs(body: Body) -> None:
    body(f"ldr r1, {body.at('pairs')}", "subs r1, r1, #1", f"str r1, {body.at('pairs')}", "bne.w 1b")
