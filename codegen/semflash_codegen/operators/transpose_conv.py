"""TRANSPOSE_CONV: weights (out, kh, kw, in), SAME or VALID, per-channel scales along axis 0, optional bias.

Inputs are output shape, weights, image, bias. Source: tensorflow/lite/micro/kernels/transpose_conv.cc: the
padding is that of the convolution which would lead back from the output to the input.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.channels import per_channel
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import convolution_layer
from semflash_codegen.operators.window import plan_window
from semflash_codegen.schema import Options, TensorType


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output, weights = context.int8_input(op, 2), context.int8_output(op), context.input(op, 1)
    _check_shape(context, op)
    h, w, depth = context.image(op, source)
    if len(weights.shape) != 4 or weights.shape[3] != depth:
        raise context.unsupported(op, "weights must have the shape (out, kh, kw, in)", weights.shape)
    channels, kernel_h, kernel_w, _ = weights.shape
    out_h, out_w, out_channels = context.image(op, output)
    if out_channels != channels:
        raise context.unsupported(op, f"the output must have {channels} channels", output.shape)
    options = context.options(op, Options.TRANSPOSE_CONV)
    window, size = plan_window(
        context,
        op,
        image=(out_h, out_w),
        kernel=(kernel_h, kernel_w),
        stride=(options.integer(2, "<i"), options.integer(1, "<i")),
        padding=options.integer(0, "<b"),
    )
    if size != (h, w):
        raise context.unsupported(op, f"the output size does not lead back to the input's {(h, w)}", size)
    as_convolution = replace(op, inputs=(op.inputs[2], op.inputs[1], *op.inputs[3:4]))
    return convolution_layer(
        context,
        as_convolution,
        window,
        per_channel(context, as_convolution, 0, channels),
        context.choose("TRANSPOSE_CONV", "sf_transpose_conv2d", None),
        activation=context.activation(op, 3),
        scratch_bytes=0,
    )


def _check_shape(context: Context, op: Operator) -> None:
    """Input 0, where it is a constant, must be the output's shape."""
    tensor, output = context.input(op, 0), context.int8_output(op)
    if tensor.data is None or tensor.dtype is not TensorType.INT32:
        raise context.unsupported(op, "the output shape is not a constant of type int32")
    if tuple(int(n) for n in np.ravel(tensor.int32_values())) != output.shape:
        raise context.unsupported(op, f"the output shape should be {output.shape}", tensor.shape)
