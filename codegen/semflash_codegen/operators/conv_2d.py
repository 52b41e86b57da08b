"""CONV_2D: weights (out, kh, kw, in / groups), SAME or VALID, stride, dilation, scales per channel."""

from __future__ import annotations

from dataclasses import replace

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
    options = context.options(op, Options.CONV_2D)
    source, output, weights = context.int8_input(op, 0), context.int8_output(op), context.input(op, 1)
    h, w, depth = context.image(op, source)
    if len(weights.shape) != 4:
        raise context.unsupported(op, "weights must have four dimensions", weights.shape)
    channels, kernel_h, kernel_w, kernel_depth = weights.shape
    if depth % kernel_depth or channels % (depth // kernel_depth):
        raise context.unsupported(
            op, f"{depth} channels to {channels} are no whole groups of the weights' depth", kernel_depth
        )
    window, size = plan_window(
        context,
        op,
        image=(h, w),
        kernel=(kernel_h, kernel_w),
        stride=(options.integer(2, "<i"), options.integer(1, "<i")),
        padding=options.integer(0, "<b"),
        dilation=(options.integer(5, "<i", 1), options.integer(4, "<i", 1)),
    )
    context.expect_shape(op, output, (1, *size, channels))
    grouped = kernel_depth != depth
    if grouped:
        kernel = context.choose("CONV_2D in groups", "sf_grouped_conv2d", None)
    else:
        kernel = context.choose("CONV_2D", "sf_conv2d", cmsis_nn.CONV_2D)
    layer = convolution_layer(
        context,
        op,
        window,
        per_channel(context, op, 0, channels),
        kernel,
        activation=context.activation(op, 3),
        scratch_bytes=0 if kernel.runs_on == REFERENCE else scratch_bytes(window, depth),
    )
    return _grouped(layer, kernel_depth) if grouped else layer


def _grouped(layer: Layer, depth: int) -> Layer:
    """The same with the struct of sf_grouped_conv2d, which holds that of sf_conv2d."""
    fields = (*((f"conv.{name}", value) for name, value in layer.fields), ("depth", str(depth)))
    arrays = tuple(replace(table, field=f"conv.{table.field}") for table in layer.arrays)
    return replace(layer, struct="sf_grouped_conv2d_t", fields=fields, arrays=arrays)


def scratch_bytes(window: Window, depth: int) -> int:
    """Most that arm_convolve_wrapper_s8 asks for: two im2col columns of int16 (none for 1x1 without padding).

    The wrapper asks for the same with and without DSP instructions. Source: arm_convolve_s8_get_buffer_size.
    """
    pointwise = (window.h, window.w, window.pad_top, window.pad_left) == (1, 1, 0, 0)
    if pointwise and (window.dilation_h, window.dilation_w) == (1, 1):
        return 0
    return 2 * depth * window.h * window.w * 2
