"""Depthwise convolution: its table and its row kernel, four channels of one pixel at a time.

A word of input is unpacked into channels (0, 2) and (1, 3); the two words of weights of a tap lie in the same
order, so that every product is one SMLABB or SMLATT. r4-r7 are the accumulators of slots 0 to 3, r11 the
group's offset.
"""

from __future__ import annotations

import numpy as np

from semflash_codegen.fused.arithmetic import clamp, count_pairs
from semflash_codegen.fused.convolution import folded_bias
from semflash_codegen.fused.frame import Body, add_constant
from semflash_codegen.fused.layers import Conv
from semflash_codegen.fused.requantise import CheapForm
from semflash_codegen.fused.tables import coefficients, groups, pair

_ACC = ("r4", "r5", "r6", "r7")


def table(layer: Conv, form: CheapForm | None) -> list[int]:
    """Per group, first group first: bias of the slots, two words per tap, coefficients (if the form is
    cheap)."""
    k = np.zeros(layer.output.channels, dtype=np.int64) if form is None else form.k
    taps = layer.window.kernel[0] * layer.window.kernel[1]
    weights = layer.weights.astype(np.int64).reshape(taps, layer.output.channels) << k[None, :]
    bias = folded_bias(layer) << k
    words: list[int] = []
    for members in reversed(groups(layer.output.channels)):
        words += [0 if c is None else int(bias[c]) & 0xFFFFFFFF for c in members]
        for tap in range(taps):
            lanes = [0 if c is None else int(weights[tap, c]) for c in members]
            words += [pair(lanes[0], lanes[1]), pair(lanes[2], lanes[3])]
        words += coefficients(form, members) if form is not None else []
    return words


def has_kernel(layer: Conv, form: CheapForm | None) -> bool:
    """Whether there is assembly for the layer: one output channel per input channel, a proven cheap form."""
    reach = layer.window.kernel[1] * layer.source.channels
    return form is not None and layer.output.channels == layer.source.channels and reach < 4096


def kernel(layer: Conv, form: CheapForm) -> list[str]:
    """One row: pixel after pixel, group after group."""
    kernel_h, kernel_w = layer.window.kernel
    channels = layer.source.channels
    body = Body(0, kernel_h)
    body.enter()
    body("1:", f"ldr r0, {body.at('weights')}", "mov r11, #0")
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
    body(f"ldr r2, {body.at('out0')}", "str r4, [r2, r11]", "add r11, r11, #4")
    body(f"ldr r3, {body.at('end')}", "cmp r0, r3", "bne.w 2b")
    body(*add_constant("r2", channels, "r3"), f"str r2, {body.at('out0')}")
    for row in range(kernel_h):
        body(f"ldr r1, {body.at('rows', row)}", *add_constant("r1", layer.window.stride[1] * channels, "r3"))
        body(f"str r1, {body.at('rows', row)}")
    count_pairs(body)
    body.leave()
    return body.lines


def _requantise(body: Body, form: CheapForm) -> None:
    """Four accumulators to four bytes in the natural order in r4."""
    if form.signed:
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
        if form.packed:
            body(f"pkhtb {low}, {high}, {low}, asr #16", f"usat16 {low}, #8, {low}")
        else:
            body(f"usat {low}, #8, {low}, asr #{form.s}", f"usat {high}, #8, {high}, asr #{form.s}")
            body(f"orr {low}, {low}, {high}, lsl #16")
    body("orr r4, r4, r6, lsl #8")
    clamp(body, form, ["r4"], pairs=False)
