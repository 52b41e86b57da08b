"""What CONV_2D and DEPTHWISE_CONV_2D share: the sf_conv2d_t of device/kernels/include/semflash/kernels.h."""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Kernel, Layer
from semflash_codegen.operators.channels import Multiplied
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.window import Window
from semflash_codegen.quantise import activation_range
from semflash_codegen.schema import Activation


def shape_initialiser(shape: tuple[int, ...]) -> str:
    """C initialiser of sf_shape_t from (h, w, c)."""
    return "{" + ", ".join(map(str, shape)) + "}"


def convolution_layer(
    context: Context,
    op: Operator,
    window: Window,
    constants: Multiplied,
    kernel: Kernel,
    *,
    activation: Activation,
    scratch_bytes: int,
) -> Layer:
    """The kernel call of a convolution whose parts are decided."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    act_min, act_max = activation_range(activation, output, context.label(op))
    fields = (
        ("in", shape_initialiser(source.shape[1:])),
        ("out", shape_initialiser(output.shape[1:])),
        ("window", window.initialiser()),
        ("input_zero_point", str(source.zero_point)),
        ("output_zero_point", str(output.zero_point)),
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
        struct="sf_conv2d_t",
        fields=fields,
        arrays=constants.arrays(),
        scratch_bytes=scratch_bytes,
    )
