"""PAD and PADV2 of one image: rows, columns and channels; the batch must not be padded."""

from __future__ import annotations

import numpy as np

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import shape_initialiser
from semflash_codegen.schema import TensorType


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    h, w, c = context.image(op, source)
    (before_n, after_n), rows, columns, depths = _paddings(context, op)
    if (before_n, after_n) != (0, 0):
        raise context.unsupported(op, "the batch is padded", (before_n, after_n))
    if (source.scale, source.zero_point) != (output.scale, output.zero_point):
        raise context.unsupported(op, "input and output must have the same scale and zero point")
    context.expect_shape(op, output, (1, h + sum(rows), w + sum(columns), c + sum(depths)))
    fields = (
        ("in", shape_initialiser(source.shape[1:])),
        ("out", shape_initialiser(output.shape[1:])),
        ("top", str(rows[0])),
        ("left", str(columns[0])),
        ("front", str(depths[0])),
        ("value", str(_value(context, op))),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose(op.name, "sf_pad", None),
        struct="sf_pad_t",
        fields=fields,
    )


def _paddings(context: Context, op: Operator) -> list[tuple[int, int]]:
    """(before, after) of each of the four dimensions."""
    tensor = context.input(op, 1)
    if (
        tensor.data is None
        or tensor.dtype not in (TensorType.INT32, TensorType.INT64)
        or tensor.shape != (4, 2)
    ):
        raise context.unsupported(op, "paddings must be a constant of shape (4, 2)", tensor.shape)
    dtype = "<i4" if tensor.dtype is TensorType.INT32 else "<i8"
    values = np.frombuffer(tensor.data, dtype).reshape(4, 2)
    pairs = [(int(before), int(after)) for before, after in values]
    if min(min(pair) for pair in pairs) < 0:
        raise context.unsupported(op, "negative padding", pairs)
    return pairs


def _value(context: Context, op: Operator) -> int:
    """The int8 value around the image: the zero point, or PADV2's constant."""
    output = context.int8_output(op)
    if op.name == "PAD":
        return output.zero_point
    value = context.int8(op, context.input(op, 2))
    if value.data is None or value.elements != 1:
        raise context.unsupported(op, "the padding value must be one constant", value.shape)
    if (value.scale, value.zero_point) != (output.scale, output.zero_point):
        raise context.unsupported(op, "the padding value must have the output's scale and zero point")
    return int(value.int8_values().reshape(-1)[0])
