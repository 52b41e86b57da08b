"""Depthwise convolution: its table and its row kernels, four channels at a time.

A word of input is unpacked into channels (0, 2) and (1, 3); the two words of weights of a tap lie in the same
order, so that every product is one SMLABB or SMLATT. Kernels of few taps compute two pixels at once, all
pairs of a row for one group of channels before the next group: its table then stays in the cache in front of
the flash, and neighbouring pixels share what they load. Other kernels go pixel by pixel, all groups of each.
The last group comes first, so that what it writes too much is overwritten.
"""

from __future__ import annotations

import numpy as np

from semflash_codegen.fused import mixed
from semflash_codegen.fused.arithmetic import clamp, count_pairs, pack, requantise
from semflash_codegen.fused.convolution import folded_bias
from semflash_codegen.fused.exact import ExactForm
from semflash_codegen.fused.frame import ACC, Body, add_constant, advance
from semflash_codegen.fused.layers import Conv
from semflash_codegen.fused.requantise import CheapForm
from semflash_codegen.fused.tables import coefficients, groups, pair

_ACC = ("r4", "r5", "r6", "r7")
#: Taps whose code for two pixels fits the cache of instructions.
_PAIRED_TAPS = 12


def table(layer: Conv, form: CheapForm | ExactForm | None) -> list[int]:
    """Per group, last group first: bias of the slots, two words per tap, coefficients (if there is a
    form)."""
    channels = layer.output.channels
    k, live = np.zeros(channels, dtype=np.int64), np.ones(channels, dtype=np.int64)
    if isinstance(form, CheapForm):
        k = form.k
    elif form is not None:
        k, live = k + 1, form.live.astype(np.int64)  # accumulators are twice the sums
    taps = layer.window.kernel[0] * layer.window.kernel[1]
    weights = (layer.weights.astype(np.int64).reshape(taps, channels) * live) << k[None, :]
    bias = (folded_bias(layer) * live) << k
    words: list[int] = []
    for members in groups(channels):
        words += [0 if c is None else int(bias[c]) & 0xFFFFFFFF for c in members]
        for tap in range(taps):
            lanes = [0 if c is None else int(weights[tap, c]) for c in members]
            words += [pair(lanes[0], lanes[1]), pair(lanes[2], lanes[3])]
        if isinstance(form, ExactForm):
            words += mixed.coefficients(form, members)
        elif form is not None:
            words += coefficients(form, members)
    return words


def pixels_at_once(layer: Conv, form: CheapForm | ExactForm | None) -> int:
    """2 or 1; 0 where there is no assembly for the layer: several output channels per input channel, or no
    form."""
    kernel_h, kernel_w = layer.window.kernel
    channels, stride = layer.source.channels, layer.window.stride[1]
    if form is None or layer.output.channels != channels or kernel_w * channels >= 4096:
        return 0
    near = (kernel_w - 1 + stride) * channels < 4096
    return 2 if near and kernel_h * kernel_w <= _PAIRED_TAPS and layer.output.width > 1 else 1


def kernel(layer: Conv, form: CheapForm | ExactForm) -> list[str]:
    """One row."""
    return _paired(layer, form) if pixels_at_once(layer, form) == 2 else _single(layer, form)


def _paired(layer: Conv, form: CheapForm | ExactForm) -> list[str]:
    """Group after group, pair after pair of pixels, in one call a row. Behind the call's fields: the rows'
    pointers for this pair, its output, pairs left."""
    kernel_h, kernel_w = layer.window.kernel
    channels, taps = layer.source.channels, kernel_h * kernel_w
    step = 2 * layer.window.stride[1] * channels
    body = Body(0, kernel_h, extra=kernel_h + 2)
    out, left = body.at("extra", kernel_h), body.at("extra", kernel_h + 1)
    body.enter()
    last = 4 * (-(-channels // 4) - 1)
    for row in range(kernel_h):
        body(
            f"ldr r1, {body.at('rows', row)}",
            *add_constant("r1", last, "r3"),
            f"str r1, {body.at('rows', row)}",
        )
    body(f"ldr r1, {body.at('out0')}", *add_constant("r1", last, "r3"), f"str r1, {body.at('out0')}")
    body("1:")
    for row in range(kernel_h):
        body(f"ldr r1, {body.at('rows', row)}", f"str r1, {body.at('extra', row)}")
        body("sub.w r1, r1, #4", f"str r1, {body.at('rows', row)}")
    body(f"ldr r1, {body.at('out0')}", f"str r1, {out}", "sub.w r1, r1, #4", f"str r1, {body.at('out0')}")
    body(f"ldr r1, {body.at('pairs')}", f"str r1, {left}", ".balign 4", "2:", f"ldr r0, {body.at('weights')}")
    body("ldmia.w r0!, {r4, r5, r8, r9}", *(f"mov.w {odd}, {even}" for even, odd in ACC))
    for row in range(kernel_h):
        body(f"ldr r3, {body.at('extra', row)}")
        _taps(body, layer, 8 * row * kernel_w)
        body(*advance("r3", step, "r1"), f"str r3, {body.at('extra', row)}")
    body(f"add.w r0, r0, #{8 * taps}")
    if isinstance(form, ExactForm):
        for accumulators in ACC:
            mixed.scale(body, form, accumulators)
    else:
        requantise(body, form)
    pack(body, form, patch_out=False)
    body(f"ldr r2, {out}", f"ldr r1, {left}", "str r4, [r2]", f"str r6, [r2, #{channels}]")
    body(*add_constant("r2", 2 * channels, "r3"), f"str r2, {out}", "subs r1, r1, #1", f"str r1, {left}")
    odd = layer.output.width % 2 == 1
    body(*(["beq.w 4f", "cmp r1, #1"] if odd else []), "bne.w 2b")
    if odd:  # the last two pixels: one of them once more
        for place in (out, *(body.at("extra", row) for row in range(kernel_h))):
            back = channels if place == out else step // 2
            body(f"ldr r1, {place}", *advance("r1", -back, "r3"), f"str r1, {place}")
        body("b.w 2b", "4:")
    body(f"str r0, {body.at('weights')}", f"ldr r1, {body.at('end')}", "cmp r0, r1", "bne.w 1b")
    body.leave()
    return body.lines


def _taps(body: Body, layer: Conv, at: int) -> None:
    """One kernel row of both pixels; r3 points to its first byte, the row's weights are `at` bytes behind
    r0."""
    columns, stride, channels = layer.window.kernel[1], layer.window.stride[1], layer.source.channels

    def weights(tap: int) -> None:
        body(f"ldr.w r1, [r0, #{at + 8 * tap}]", f"ldr.w r2, [r0, #{at + 8 * tap + 4}]")

    def column(number: int) -> None:
        body(f"ldr.w lr, [r3, #{number * channels}]")

    def products(pixel: int, *, unpack: bool) -> None:
        first, second, third, fourth = (ACC[slot][pixel] for slot in range(4))
        if unpack:
            body("uxtb16 r12, lr", "uxtb16 lr, lr, ror #8")
        body(f"smlabb {first}, r12, r1, {first}", f"smlatt {second}, r12, r1, {second}")
        body(f"smlabb {third}, lr, r2, {third}", f"smlatt {fourth}, lr, r2, {fourth}")

    for tap in range(columns):
        if stride > 1 or tap == 0:
            weights(tap)
            column(tap)
            products(0, unpack=True)
        else:  # r12 and lr hold this column, which the odd pixel has just used
            weights(tap)
            products(0, unpack=False)
        column(tap + stride)
        products(1, unpack=True)


def _single(layer: Conv, form: CheapForm | ExactForm) -> list[str]:
    """Pixel after pixel, group after group; r4-r7 are the accumulators of slots 0 to 3, r11 the group's
    offset."""
    kernel_h, kernel_w = layer.window.kernel
    channels = layer.source.channels
    body = Body(0, kernel_h)
    body.enter()
    body("1:", f"ldr r0, {body.at('weights')}", f"mov r11, #{4 * (-(-channels // 4) - 1)}")
    body("2:", "ldmia r0!, {r4-r7}")
    weights: list[str] = []
    left = kernel_h * kernel_w
    for row in range(kernel_h):
        body(f"ldr r8, {body.at('rows', row)}", "add r8, r8, r11")
        for column in range(kernel_w):
            if not weights:
                weights = ["r1", "r2", "r9", "r10"][: 4 if left > 1 else 2]
                body("ldmia r0!, {" + ", ".join(weights) + "}")
            left -= 1
            first, second, *weights = weights
            body(f"ldr r3, [r8, #{column * channels}]", "uxtb16 r12, r3", "uxtb16 lr, r3, ror #8")
            body(f"smlabb r4, r12, {first}, r4", f"smlatt r5, r12, {first}, r5")
            body(f"smlabb r6, lr, {second}, r6", f"smlatt r7, lr, {second}, r7")
    _requantise(body, form)
    body(f"ldr r2, {body.at('out0')}", "str r4, [r2, r11]", "sub.w r11, r11, #4")
    body(f"ldr r3, {body.at('end')}", "cmp r0, r3", "bne.w 2b")
    body(*add_constant("r2", channels, "r3"), f"str r2, {body.at('out0')}")
    for row in range(kernel_h):
        body(f"ldr r1, {body.at('rows', row)}", *add_constant("r1", layer.window.stride[1] * channels, "r3"))
        body(f"str r1, {body.at('rows', row)}")
    count_pairs(body)
    body.leave()
    return body.lines


def _requantise(body: Body, form: CheapForm | ExactForm) -> None:
    """Four accumulators to four bytes in the natural order in r4."""
    if isinstance(form, ExactForm):
        for acc in _ACC:
            mixed.scale(body, form, (acc,))
    elif form.signed:
        for acc in _ACC:
            body("ldmia r0!, {r1, r2, r3}", f"and r12, r3, {acc}, asr #31")
            body(f"smmla {acc}, {acc}, r1, r2", f"sub {acc}, {acc}, r12")
    else:
        for low, high in (("r4", "r5"), ("r6", "r7")):
            body(
                "ldmia r0!, {r1, r2, r3, r12}",
                f"smmla {low}, {low}, r1, r2",
                f"smmla {high}, {high}, r3, r12",
            )
    for low, high in (("r4", "r5"), ("r6", "r7")):
        if isinstance(form, ExactForm):
            body(f"orr {low}, {low}, {high}, lsl #16")
        elif form.packed:
            body(f"pkhtb {low}, {high}, {low}, asr #16", f"usat16 {low}, #8, {low}")
        else:
            body(f"usat {low}, #8, {low}, asr #{form.s}", f"usat {high}, #8, {high}, asr #{form.s}")
            body(f"orr {low}, {low}, {high}, lsl #16")
    body("orr r4, r4, r6, lsl #8")
    clamp(body, form, ["r4"], pairs=False)
