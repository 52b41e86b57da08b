"""DEPTHWISE_CONV_2D: weights (1, kh, kw, out), any channel multiplier, per-channel scales along axis 3."""

from __future__ import annotations

from semflash_codegen import cmsis_nn
from semflash_codegen.ir import Operator
from semflash_codegen.layer import REFERENCE, Layer
from semflash_codegen.operators.channels import per_channel
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import convolution_layer
from semflash_codegen.operators.window import Window, plan_window
from semflash_codegen.schema import Options


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator and choose its kernel."""
    options = context.options(op, Options.DEPTHWISE_CONV_2D)
    source, output, weights = context.int8_input(op, 0), context.int8_output(op), context.input(op, 1)
    h, w, depth = context.image(op, source)
    if len(weights.shape) != 4 or weights.shape[0] != 1:
        raise context.unsupported(op, "weights must have the shape (1, kh, kw, channels)", weights.shape)
    _, kernel_h, kernel_w, channels = weights.shape
    multiplier = options.integer(3, "<i")
    if channels % depth or multiplier != channels // depth:
        raise context.unsupported(
            op, f"channel multiplier does not fit {depth} -> {channels} channels", multiplier
        )
    window, size = plan_window(
        context,
        op,
        image=(h, w),
        kernel=(kernel_h, kernel_w),
        stride=(options.integer(2, "<i"), options.integer(1, "<i")),
        padding=options.integer(0, "<b"),
        dilation=(options.integer(6, "<i", 1), options.integer(5, "<i", 1)),
    )
    context.expect_shape(op, output, (1, *size, channels))
    kernel = context.choose("DEPTHWISE_CONV_2D", "sf_depthwise_conv2d", cmsis_nn.DEPTHWISE_CONV_2D)
    return convolution_layer(
        context,
        op,
        window,
        per_channel(context, op, 3, channels),
        kernel,
        activation=context.activation(op, 4),
        scratch_bytes=0 if kernel.runs_on == REFERENCE else scratch_bytes(window, depth, channels),
    )


def scratch_bytes(window: Window, depth: int, channels: int) -> int:
    """Most that arm_depthwise_conv_wrapper_s8 asks for: one int16 column with DSP, nothing without.

    Source: arm_depthwise_conv_s8_opt_get_buffer_size.
    """
    if depth != channels or (window.dilation_h, window.dilation_w) != (1, 1):
        return 0
    return depth * window.h * window.w * 2
