"""PAD and PADV2 of up to four dimensions: rows, columns and channels; the batch must not be padded."""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.broadcasting import image_of
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import shape_initialiser
from semflash_codegen.operators.moving import same_quantisation


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    h, w, c = image_of(context, op, source)
    (before_n, after_n), rows, columns, depths = _paddings(context, op)
    if (before_n, after_n) != (0, 0):
        raise context.unsupported(op, "the batch is padded", (before_n, after_n))
    same_quantisation(context, op, source, output)
    size = (h + sum(rows), w + sum(columns), c + sum(depths))
    context.expect_shape(op, output, (1, *size)[4 - len(source.shape) :])
    fields = (
        ("in", shape_initialiser((h, w, c))),
        ("out", shape_initialiser(size)),
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
    """(before, after) of batch, rows, columns and channels; dimensions that the input lacks come first."""
    rank = len(context.int8_input(op, 0).shape)
    if context.input(op, 1).shape != (rank, 2):
        raise context.unsupported(
            op, f"paddings must be a constant of shape ({rank}, 2)", context.input(op, 1).shape
        )
    values = context.integers(op, 1, "the paddings")
    pairs = list(zip(values[::2], values[1::2], strict=True))
    if min(values) < 0:
        raise context.unsupported(op, "negative padding", pairs)
    if rank < 4 and pairs[0] != (0, 0):
        raise context.unsupported(op, "the batch is padded", pairs[0])
    return [(0, 0)] * (4 - rank) + pairs


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
