"""RESIZE_BILINEAR of one image, with align_corners or half_pixel_centers or neither.

Source: tensorflow/lite/kernels/internal/reference/resize_bilinear.h (ResizeBilinearInteger): positions are in
1/1024 of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import shape_initialiser
from semflash_codegen.schema import Options, TensorType

_ONE = 1024


@dataclass(frozen=True)
class Axis:
    """An output position p lies at input position (p * scale + offset) / 1024."""

    scale: int
    offset: int


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    h, w, c = context.image(op, source)
    out_h, out_w, _ = context.image(op, output)
    context.expect_shape(op, output, (1, out_h, out_w, c))
    size = context.input(op, 1)
    if size.data is None or size.dtype is not TensorType.INT32:
        raise context.unsupported(op, "the size is not a constant of type int32", size.dtype.name.lower())
    if tuple(int(n) for n in np.ravel(size.int32_values())) != (out_h, out_w):
        raise context.unsupported(op, f"the size should be {(out_h, out_w)}", size.shape)
    if (source.scale, source.zero_point) != (output.scale, output.zero_point):
        raise context.unsupported(op, "input and output must have the same scale and zero point")
    rows, columns = (_axis(context, op, *sizes) for sizes in ((h, out_h), (w, out_w)))
    fields = (
        ("in", shape_initialiser((h, w, c))),
        ("out", shape_initialiser((out_h, out_w, c))),
        ("scale_h", str(rows.scale)),
        ("offset_h", str(rows.offset)),
        ("scale_w", str(columns.scale)),
        ("offset_w", str(columns.offset)),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose("RESIZE_BILINEAR", "sf_resize_bilinear", None),
        struct="sf_resize_t",
        fields=fields,
    )


def _axis(context: Context, op: Operator, size: int, out: int) -> Axis:
    """Scale and offset of one dimension; the last output position must lie inside the input."""
    options = context.options(op, Options.RESIZE_BILINEAR)
    align, half = (bool(options.integer(field, "<b")) for field in (2, 3))
    if align and half:
        raise context.unsupported(op, "align_corners and half_pixel_centers at once")
    scale = (_ONE * size + out // 2) // out
    if align and out > 1:
        scale = (_ONE * (size - 1) + (out - 1) // 2) // (out - 1)
    axis = Axis(scale, scale // 2 - _ONE // 2 if half else 0)
    if ((out - 1) * axis.scale + axis.offset) // _ONE > size - 1:
        raise context.unsupported(op, "rounded positions leave the input", (size, out))
    return axis
