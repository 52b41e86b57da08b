"""Row kernel for four pixels and two output channels at a time, with byte-mixed weights.

Half as many words of weights come out of the flash as with two pixels and four channels, and a word of
weights takes part in sixteen products. r4-r7 are the accumulators of the first channel, r8-r11 of both mixed,
r0 the place in the weights, r3 in the patch, r1 and r2 a word of weights and its lower bytes, r12 and lr two
pixels' inputs. What runs once for four pixels stays below 1 KB: gathering, one turn of the loop over the
steps, the finish.
"""

from __future__ import annotations

from semflash_codegen.fused.arithmetic import clamp, count_pairs
from semflash_codegen.fused.convolution import MAX, ConvTables
from semflash_codegen.fused.exact import ExactForm
from semflash_codegen.fused.frame import Body, add_constant, add_to, advance
from semflash_codegen.fused.mixed import scale, turn_steps

_LOW, _MIXED = ("r4", "r5", "r6", "r7"), ("r8", "r9", "r10", "r11")


def quads(tables: ConvTables) -> list[str]:
    """The whole kernel; `pairs` of its call counts fours of pixels."""
    form = tables.form
    assert isinstance(form, ExactForm)
    layer, gather = tables.layer, tables.gather
    column = layer.window.stride[1] * layer.source.channels
    body = Body(16 * tables.steps, gather.rows)
    body.enter()
    body("1:")
    _gather(body, tables, column)
    body(f"ldr r0, {body.at('weights')}", "2:", "ldmia.w r0!, {r4, r8}")
    for registers in (_LOW, _MIXED):
        body(*(f"mov.w {register}, {registers[0]}" for register in registers[1:]))
    _multiply(body, tables.steps)
    body(*(f"sub.w {m}, {m}, {e}" for m, e in zip(_MIXED, _LOW, strict=True)))
    body(*(f"asr.w {m}, {m}, #7" for m in _MIXED), *(f"lsl.w {e}, {e}, #1" for e in _LOW))
    scale(body, form, _LOW)
    scale(body, form, _MIXED)
    body(*(f"orr.w {e}, {e}, {m}, lsl #8" for e, m in zip(_LOW, _MIXED, strict=True)))
    _store(body, tables, form)
    channels = layer.output.channels
    pixels = 2 if tables.store == MAX else 4
    body("cmp r0, r3", "bne.w 2b")
    body(*add_constant("r2", pixels * channels + 2 * tables.group_count, "r3"), f"str r2, {body.at('out0')}")
    count_pairs(body)
    body.leave()
    return body.lines


def _gather(body: Body, tables: ConvTables, column: int) -> None:
    """Whole words of four pixels to the patch: (b0, b2) of each, then (b1, b3) of each."""
    gather, start = tables.gather, body.offset("rows")
    body(f"add r12, sp, #{body.base}", f"add r1, sp, #{start}")
    if gather.rows > 1:
        body(f"add r2, sp, #{start + 4 * gather.rows}", "12:")
    body("ldr r0, [r1]")
    if gather.words > 1:
        body(*add_to("lr", "r0", 4 * gather.words), ".balign 4", "13:")
    body(*(f"ldr.w r{4 + pixel}, [r0, #{pixel * column}]" for pixel in range(4)), "add.w r0, r0, #4")
    body(*(f"uxtb16 r{8 + pixel}, r{4 + pixel}" for pixel in range(4)))
    body(*(f"uxtb16 r{4 + pixel}, r{4 + pixel}, ror #8" for pixel in range(4)))
    body("stmia.w r12!, {r8-r11}", "stmia.w r12!, {r4-r7}")
    if gather.words > 1:
        body("cmp r0, lr", "bne 13b")
    body(*advance("r0", 4 * column - 4 * gather.words, "r3"), "str r0, [r1], #4")
    if gather.rows > 1:
        body("cmp r1, r2", "bne 12b")


def _multiply(body: Body, steps: int) -> None:
    turn = turn_steps(steps)
    loop = steps > turn
    place, base = ("r3", 0) if loop else ("sp", body.base)
    if loop:
        body(f"addw r3, sp, #{body.base}", ".balign 4", "9:")
    for step in range(turn):
        at = base + 16 * step
        body(
            f"ldr.w r1, [r0, #{4 * step}]", f"ldr.w r12, [{place}, #{at}]", f"ldr.w lr, [{place}, #{at + 4}]"
        )
        body("smlad r8, r12, r1, r8", "smlad r9, lr, r1, r9", "sxtb16 r2, r1")
        body("smlad r4, r12, r2, r4", "smlad r5, lr, r2, r5")
        body(f"ldr.w r12, [{place}, #{at + 8}]", f"ldr.w lr, [{place}, #{at + 12}]")
        body("smlad r10, r12, r1, r10", "smlad r11, lr, r1, r11")
        body("smlad r6, r12, r2, r6", "smlad r7, lr, r2, r7")
    if loop:
        body(f"addw r1, sp, #{body.base + 16 * steps}")
    body(f"add.w r0, r0, #{4 * turn}")
    if loop:
        body(f"add.w r3, r3, #{16 * turn}", "cmp.w r3, r1", "bne.w 9b")


def _store(body: Body, tables: ConvTables, form: ExactForm) -> None:
    """Two channels of four pixels, or the larger of two neighbours and of what is there. r3: end of the
    table."""
    channels = tables.layer.output.channels
    if tables.store == MAX:
        for a, b in (("r4", "r5"), ("r6", "r7")):
            body(f"usub8 r1, {a}, {b}", f"sel {a}, {a}, {b}")
        kept = ["r4", "r6"]
        clamp(body, form, kept, pairs=False)
        body(f"ldr r2, {body.at('out0')}", f"ldr r3, {body.at('end')}")
        for pixel, register in enumerate(kept):
            body(f"ldrh.w r1, [r2, #{pixel * channels}]", f"usub8 r5, {register}, r1")
            body(f"sel {register}, {register}, r1", f"strh.w {register}, [r2, #{pixel * channels}]")
    else:
        clamp(body, form, list(_LOW), pairs=False)
        body(f"ldr r2, {body.at('out0')}", f"ldr r3, {body.at('end')}")
        body(*(f"strh.w {register}, [r2, #{p * channels}]" for p, register in enumerate(_LOW)))
    body("subs r2, r2, #2", f"str r2, {body.at('out0')}")
