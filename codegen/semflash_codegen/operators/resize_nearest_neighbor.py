"""RESIZE_NEAREST_NEIGHBOR of one image, with align_corners or half_pixel_centers or neither.

Source: tensorflow/lite/kernels/internal/reference/resize_nearest_neighbor.h (GetNearestNeighbor): positions
are computed in single precision.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Array, Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import shape_initialiser
from semflash_codegen.operators.moving import same_quantisation
from semflash_codegen.schema import Options


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator and compute which row and column every position takes; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    h, w, c = context.image(op, source)
    out_h, out_w, _ = context.image(op, output)
    context.expect_shape(op, output, (1, out_h, out_w, c))
    size = context.integers(op, 1, "the size")
    if size != [out_h, out_w]:
        raise context.unsupported(op, f"the size should be {(out_h, out_w)}", size)
    same_quantisation(context, op, source, output)
    options = context.options(op, Options.RESIZE_NEAREST_NEIGHBOR)
    align, half = (bool(options.integer(field, "<b")) for field in (0, 1))
    rows, columns = (_nearest(*sizes, align, half) for sizes in ((h, out_h), (w, out_w)))
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose(op.name, "sf_resize_nearest", None),
        struct="sf_resize_nearest_t",
        fields=(("in", shape_initialiser((h, w, c))), ("out", shape_initialiser((out_h, out_w, c)))),
        arrays=(Array("rows", "uint16_t", rows), Array("columns", "uint16_t", columns)),
    )


def _nearest(size: int, out: int, align: bool, half: bool) -> npt.NDArray[np.int64]:
    """The input position of every output position along one dimension, (out,)."""
    one = np.float32(1)
    span = (size - 1, out - 1) if align and out > 1 else (size, out)
    scale = np.float32(span[0]) / np.float32(span[1])
    places = (np.arange(out, dtype=np.float32) + (one / 2 if half else one * 0)) * scale
    whole = np.floor(places + one / 2) if align else np.floor(places)
    return np.clip(whole.astype(np.int64), 0, size - 1)
