"""The pass that finds what can stream: the longest chain of layers from the image on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semflash_codegen.fused.layers import Conv, Layer, Pool, Shape, Table, Window
from semflash_codegen.fused.requantise import Channelwise, reference
from semflash_codegen.fused.shapes import refusal
from semflash_codegen.ir import Model, Operator, Tensor, short
from semflash_codegen.macs import macs
from semflash_codegen.operators import Context
from semflash_codegen.operators.channels import per_channel
from semflash_codegen.operators.pad import _paddings as paddings
from semflash_codegen.operators.pad import _value as pad_value
from semflash_codegen.operators.window import plan_window
from semflash_codegen.options import option
from semflash_codegen.quantise import activation_range, quantise_multiplier
from semflash_codegen.schema import Activation, Options, Padding

_INT8_MIN = -128
_LATENT_CHANNELS_MAX = 256  # SF_ENCODER_CHANNELS_MAX


@dataclass(frozen=True)
class Chain:
    """Layers that stream, how many operators they stand for, the tensor they end in, and why not more."""

    layers: tuple[Layer, ...]
    operators: tuple[Operator, ...]
    output: int
    reason: str

    @property
    def complete(self) -> bool:
        return not self.reason


class _Stop(Exception):
    """The chain ends before this operator; the message says why."""


@dataclass(frozen=True)
class _Padding:
    """A PAD that the next layer takes over."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    value: int


def find_chain(model: Model, *, start: int | None = None) -> Chain:
    """Walk from the image along operators with one reader until one cannot stream.

    start: walk from this operator on instead; its input is an image in memory and may have other readers.
    """
    context = Context(model, "reference")
    layers: list[Layer] = []
    begin = start or 0
    kept, at, reason = begin, model.inputs[0] if start is None else model.operators[begin].inputs[0], ""
    tensor, padding = at, None
    for position, op in enumerate(model.operators[begin:], begin):
        try:
            if start is None or position > begin:
                _check_reader(model, op, tensor, position)
            if op.name in ("PAD", "PADV2"):
                padding = _padding(context, op, padding)
            else:
                layer = _layer(context, op, padding)
                why = refusal(layer)
                if why:
                    raise _Stop(why)
                layers.append(layer)
                padding, kept, at = None, position + 1, op.outputs[0]
        except _Stop as stop:
            reason = f"{model.layer_name(op)}: {stop}"
            break
        tensor = op.outputs[0]
    if not reason and (at != model.outputs[0] or padding is not None):
        reason = "the output is not the end of the chain"
    if not reason and len(model.tensors[at].shape) != 4:
        reason = "the output is not an image"
    if not reason and model.tensors[at].shape[3] > _LATENT_CHANNELS_MAX:
        reason = f"the output has more than {_LATENT_CHANNELS_MAX} channels and goes out in pieces"
    return Chain(tuple(layers), model.operators[begin:kept], at, reason)


def _check_reader(model: Model, op: Operator, tensor: int, position: int) -> None:
    if not op.inputs or op.inputs[0] != tensor:
        raise _Stop("does not read the layer before it")
    readers = sum(tensor in other.inputs for other in model.operators[position:])
    if readers != 1 or (tensor == model.outputs[0]):
        raise _Stop("its input is read by other layers, too")


def _padding(context: Context, op: Operator, before: _Padding | None) -> _Padding:
    if before is not None:
        raise _Stop("two PAD in a row")
    batch, rows, columns, channels = paddings(context, op)
    if batch != (0, 0) or channels != (0, 0):
        raise _Stop("pads batch or channels")
    return _Padding(rows, columns, pad_value(context, op))


def _layer(context: Context, op: Operator, padding: _Padding | None) -> Layer:
    if op.name == "CONV_2D":
        return _conv(context, op, padding, depthwise=False)
    if op.name == "DEPTHWISE_CONV_2D":
        return _conv(context, op, padding, depthwise=True)
    if op.name in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        return _pool(context, op, padding)
    if padding is not None:
        raise _Stop("cannot take over the padding before it")
    if op.name in ("RELU", "RELU6"):
        return _table(context, op)
    raise _Stop("has no streaming form")


def _name(op: Operator, tensor: Tensor) -> str:
    return f"{op.name} {short(tensor.name)}"


def _source(context: Context, op: Operator, padding: _Padding | None) -> tuple[Shape, tuple[int, int]]:
    """The shape before the PAD, and (height, width) after it."""
    h, w, channels = context.image(op, context.int8_input(op, 0))
    rows, columns = ((0, 0), (0, 0)) if padding is None else (padding.rows, padding.columns)
    return Shape(h - sum(rows), w - sum(columns), channels), (h, w)


def _conv(context: Context, op: Operator, padding: _Padding | None, *, depthwise: bool) -> Conv:
    context.options(op, Options.DEPTHWISE_CONV_2D if depthwise else Options.CONV_2D)
    tensor, output = context.int8_input(op, 0), context.int8_output(op)
    source, image = _source(context, op, padding)
    axis = 3 if depthwise else 0
    _, kernel_h, kernel_w, _ = shape = context.input(op, 1).shape
    dilation = (option(op, "dilation_h_factor"), option(op, "dilation_w_factor"))
    if dilation != (1, 1):
        raise _Stop(f"dilation {dilation[0]}x{dilation[1]}")
    if not depthwise and shape[3] != source.channels:
        raise _Stop("grouped convolution")
    window = _window(context, op, padding, image, (kernel_h, kernel_w), tensor.zero_point)
    low, high = activation_range(context.activation(op, 4 if depthwise else 3), output, context.label(op))
    constants = per_channel(context, op, axis, shape[axis])
    weights = constants.weights.reshape(kernel_h, kernel_w, shape[3]) if depthwise else constants.weights
    return Conv(
        _name(op, output),
        source,
        Shape(*output.shape[1:]),
        window,
        weights,
        constants.bias.astype(np.int64),
        tensor.zero_point,
        output.zero_point,
        constants.multiplier.astype(np.int64),
        constants.shift.astype(np.int64),
        low,
        high,
        depthwise,
        macs(context.model, op),
    )


def _window(
    context: Context,
    op: Operator,
    padding: _Padding | None,
    image: tuple[int, int],
    kernel: tuple[int, int],
    zero: int,
) -> Window:
    """The window with the operator's own padding and that of a PAD before it."""
    stride = (option(op, "stride_h"), option(op, "stride_w"))
    own, out = plan_window(
        context, op, image=image, kernel=kernel, stride=stride, padding=option(op, "padding")
    )
    bottom = max(0, (out[0] - 1) * stride[0] + kernel[0] - image[0] - own.pad_top)
    right = max(0, (out[1] - 1) * stride[1] + kernel[1] - image[1] - own.pad_left)
    if padding is None:
        return Window(kernel, stride, own.pad_top, own.pad_left, bottom, right, zero)
    if padding.value != zero and (own.pad_top or own.pad_left or bottom or right):
        raise _Stop("the padding before it has another value than its own")
    (above, below), (before, after) = padding.rows, padding.columns
    return Window(
        kernel,
        stride,
        own.pad_top + above,
        own.pad_left + before,
        bottom + below,
        right + after,
        padding.value,
    )


def _pool(context: Context, op: Operator, padding: _Padding | None) -> Pool:
    context.options(op, Options.POOL_2D)
    output = context.int8_output(op)
    source, image = _source(context, op, padding)
    average = op.name == "AVERAGE_POOL_2D"
    kernel = (option(op, "filter_height"), option(op, "filter_width"))
    outside = 0 if average else _INT8_MIN
    window = _window(context, op, padding, image, kernel, outside if padding is None else padding.value)
    if padding is not None and option(op, "padding") == Padding.SAME:
        raise _Stop("a SAME pool behind a PAD")
    low, high = activation_range(context.activation(op, 5), output, context.label(op))
    return Pool(
        _name(op, output), source, Shape(*output.shape[1:]), window, average, low, high, padding is not None
    )


def _table(context: Context, op: Operator) -> Table:
    """RELU requantises, RELU6 clamps: as in operators/relu.py."""
    tensor, output = context.int8_input(op, 0), context.int8_output(op)
    if len(tensor.shape) != 4:
        raise _Stop("its input is not an image")
    activation = Activation.RELU6 if op.name == "RELU6" else Activation.RELU
    low, high = activation_range(activation, output, context.label(op))
    multiplier, shift = quantise_multiplier(tensor.scale / output.scale)
    spec = Channelwise(np.array([multiplier]), np.array([shift]), output.zero_point, low, high)
    codes = np.arange(-128, 128, dtype=np.int64)
    if op.name == "RELU6":
        values = np.clip(codes, low, high)
    else:
        values = reference((codes - tensor.zero_point)[None, :], spec)[0]
    return Table(_name(op, output), Shape(*tensor.shape[1:]), values.astype(np.int8))
