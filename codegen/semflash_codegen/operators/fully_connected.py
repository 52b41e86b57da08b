"""FULLY_CONNECTED: weights (outputs, inputs). Follows TFLite-Micro, where the references differ.

With one weight scale the requantisation factor is float32(input scale * weight scale) / output scale, as in
tensorflow/lite/kernels/kernel_util.cc (GetQuantizedConvolutionMultipler). With one scale per output it is
a 1x1 convolution: the same kernels run it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from semflash_codegen import cmsis_nn
from semflash_codegen.fused.requantise import Channelwise
from semflash_codegen.ir import Operator, Tensor
from semflash_codegen.layer import AUTO, Array, Layer
from semflash_codegen.operators.channels import bias_values, per_channel, prove_accumulator, weights_tensor
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import convolution_layer, shape_initialiser
from semflash_codegen.operators.dense import dense_layer
from semflash_codegen.operators.window import Window
from semflash_codegen.quantise import activation_range, quantise_multiplier
from semflash_codegen.schema import Options

_ROWS_MAX = 65535


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator and choose its kernel."""
    options = context.options(op, Options.FULLY_CONNECTED)
    source, output = context.int8_input(op, 0), context.int8_output(op)
    weights = weights_tensor(context, op, 0)
    if options.integer(1, "<b") != 0:
        raise context.unsupported(op, "shuffled weights", options.integer(1, "<b"))
    if len(weights.shape) != 2:
        raise context.unsupported(op, "weights must have two dimensions", weights.shape)
    outputs, inputs = weights.shape
    if source.elements % inputs or output.elements != source.elements // inputs * outputs:
        raise context.unsupported(
            op, "input, weights and output do not fit", (source.shape, weights.shape, output.shape)
        )
    rows = source.elements // inputs
    if rows > _ROWS_MAX or output.shape[-1] != outputs:
        raise context.unsupported(op, "output shape does not fit", output.shape)
    assert weights.quantisation is not None
    if len(weights.quantisation.scales) > 1:
        return _per_channel(context, op, rows, inputs, outputs)
    return _per_tensor(context, op, rows, weights)


def _per_tensor(context: Context, op: Operator, rows: int, weights: Tensor) -> Layer:
    source, output = context.int8_input(op, 0), context.int8_output(op)
    outputs, inputs = weights.shape
    with np.errstate(over="ignore", under="ignore"):
        product = float(np.float32(source.scale) * np.float32(weights.scale))
    multiplier, shift = quantise_multiplier(product / output.scale)
    bias = bias_values(context, op, outputs)
    values = weights.int8_values()
    prove_accumulator(context, op, values, bias, np.full(outputs, shift, np.int32))
    act_min, act_max = activation_range(context.activation(op, 0), output, context.label(op))
    if context.kernels == AUTO:
        spec = Channelwise(
            np.full(outputs, multiplier, np.int64),
            np.full(outputs, shift, np.int64),
            output.zero_point,
            act_min,
            act_max,
        )
        weights_2d = values.reshape(outputs, inputs)
        mixed = dense_layer(op, output.name, rows, weights_2d, bias, spec, source.zero_point)
        if mixed is not None:
            return mixed
    fields = (
        ("rows", str(rows)),
        ("outputs", str(outputs)),
        ("inputs", str(inputs)),
        ("input_zero_point", str(source.zero_point)),
        ("output_zero_point", str(output.zero_point)),
        ("act_min", str(act_min)),
        ("act_max", str(act_max)),
        ("multiplier", str(multiplier)),
        ("shift", str(shift)),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose("FULLY_CONNECTED", "sf_fully_connected", cmsis_nn.FULLY_CONNECTED),
        struct="sf_fully_connected_t",
        fields=fields,
        arrays=(Array("weights", "int8_t", values), Array("bias", "int32_t", bias)),
    )


def _per_channel(context: Context, op: Operator, rows: int, inputs: int, outputs: int) -> Layer:
    """As a 1x1 convolution over an image of rows x 1 pixels."""
    kernel = context.choose("FULLY_CONNECTED", "sf_conv2d", cmsis_nn.CONV_2D)
    layer = convolution_layer(
        context,
        op,
        Window(1, 1, 1, 1, 1, 1, 0, 0),
        per_channel(context, op, 0, outputs),
        replace(kernel, why=f"{kernel.why}; per-channel scales: runs as a 1x1 convolution"),
        activation=context.activation(op, 0),
        scratch_bytes=0,
    )
    shapes = {"in": shape_initialiser((rows, 1, inputs)), "out": shape_initialiser((rows, 1, outputs))}
    return replace(layer, fields=tuple((name, shapes.get(name, value)) for name, value in layer.fields))
