"""What MAX_POOL_2D and AVERAGE_POOL_2D share: the sf_pool2d_t of kernels.h."""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Kernel, Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import shape_initialiser
from semflash_codegen.operators.window import plan_window
from semflash_codegen.quantise import activation_range
from semflash_codegen.schema import Options


def pool_layer(context: Context, op: Operator, kernel: Kernel, scratch_bytes: int) -> Layer:
    """Check a pool and make its kernel call; TFLite demands one quantisation for input and output."""
    options = context.options(op, Options.POOL_2D)
    source, output = context.int8_input(op, 0), context.int8_output(op)
    h, w, depth = context.image(op, source)
    if (source.scale, source.zero_point) != (output.scale, output.zero_point):
        raise context.unsupported(op, "input and output of a pool must have the same scale and zero point")
    window, size = plan_window(
        context,
        op,
        image=(h, w),
        kernel=(options.integer(4, "<i"), options.integer(3, "<i")),
        stride=(options.integer(2, "<i"), options.integer(1, "<i")),
        padding=options.integer(0, "<b"),
    )
    context.expect_shape(op, output, (1, *size, depth))
    act_min, act_max = activation_range(context.activation(op, 5), output, context.label(op))
    fields = (
        ("in", shape_initialiser(source.shape[1:])),
        ("out", shape_initialiser(output.shape[1:])),
        ("window", window.initialiser()),
        ("act_min", str(act_min)),
        ("act_max", str(act_max)),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=kernel,
        struct="sf_pool2d_t",
        fields=fields,
        scratch_bytes=scratch_bytes,
    )
