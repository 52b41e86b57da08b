"""Weights, bias and requantisation of layers that multiply: one multiplier and shift per output channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semflash_codegen.errors import MalformedModelError
from semflash_codegen.ir import Operator, Quantisation, Tensor
from semflash_codegen.layer import Array
from semflash_codegen.operators.context import Context
from semflash_codegen.quantise import INT32_MAX, quantise_multiplier
from semflash_codegen.schema import TensorType

# |x - zero_point| <= 255; kernels that keep the two apart stay within |x| + |zero_point| <= 256.
_REACH = 256
_OUTPUT_ROOM = 512


@dataclass(frozen=True)
class Multiplied:
    """Constants of a layer: weights int8 as in the file; bias, multiplier and shift int32 (C,)."""

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    multiplier: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int32]

    def arrays(self) -> tuple[Array, ...]:
        """All four as tables."""
        return (
            Array("weights", "int8_t", self.weights),
            Array("bias", "int32_t", self.bias),
            Array("multiplier", "int32_t", self.multiplier),
            Array("shift", "int32_t", self.shift),
        )


def weights_tensor(context: Context, op: Operator, axis: int) -> Tensor:
    """Input 1: constant int8, symmetric, quantised per tensor or along `axis`."""
    weights = context.input(op, 1)
    if weights.data is None:
        raise context.unsupported(op, "the weights are not a constant")
    if weights.dtype is not TensorType.INT8:
        raise context.unsupported(op, "the weights are not int8", weights.dtype.name.lower())
    quant = weights.quantisation
    if quant is None:
        raise context.unsupported(op, "the weights are not quantised")
    if any(quant.zero_points):
        raise context.unsupported(op, "the weights are not symmetric: zero points must be 0")
    if len(quant.scales) > 1 and (quant.axis != axis or axis >= len(weights.shape)):
        raise context.unsupported(op, f"per-channel scales must lie along axis {axis}", quant.axis)
    return weights


def bias_values(context: Context, op: Operator, channels: int) -> npt.NDArray[np.int32]:
    """Input 2: constant int32 (channels,), zeros where it is absent."""
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return np.zeros(channels, np.int32)
    bias = context.input(op, 2)
    if bias.dtype is not TensorType.INT32 or bias.data is None:
        raise context.unsupported(op, "the bias is not a constant of type int32", bias.dtype.name.lower())
    if bias.elements != channels:
        raise MalformedModelError(
            f"{context.label(op)}: the bias must have {channels} values",
            value=bias.elements,
            remedy="export the model again",
        )
    return bias.int32_values().reshape(channels)


def channel_scales(context: Context, op: Operator, quant: Quantisation, channels: int) -> list[float]:
    """One weight scale per output channel."""
    if len(quant.scales) == 1:
        return list(quant.scales) * channels
    if len(quant.scales) != channels:
        raise MalformedModelError(
            f"{context.label(op)}: there must be one scale per output channel ({channels})",
            value=len(quant.scales),
            remedy="export the model again",
        )
    return list(quant.scales)


def per_channel(context: Context, op: Operator, axis: int, channels: int) -> Multiplied:
    """Constants of CONV_2D and DEPTHWISE_CONV_2D.

    Source: tensorflow/lite/kernels/kernel_util.cc (PopulateConvolutionQuantizationParams): the factor is
    double(input scale) * double(weight scale) / double(output scale).
    """
    source, output = context.int8_input(op, 0), context.int8_output(op)
    weights = weights_tensor(context, op, axis)
    assert weights.quantisation is not None
    scales = channel_scales(context, op, weights.quantisation, channels)
    pairs = [quantise_multiplier(source.scale * scale / output.scale) for scale in scales]
    bias = bias_values(context, op, channels)
    values = weights.int8_values()
    shift = np.array([s for _, s in pairs], np.int32)
    prove_accumulator(context, op, np.moveaxis(values, axis, 0).reshape(channels, -1), bias, shift)
    return Multiplied(values, bias, np.array([m for m, _ in pairs], np.int32), shift)


def prove_accumulator(
    context: Context,
    op: Operator,
    rows: npt.NDArray[np.int8],
    bias: npt.NDArray[np.int32],
    shift: npt.NDArray[np.int32],
) -> None:
    """No sum, in whatever order, and no left-shifted sum leaves int32, whatever the input.

    Args:
        rows: int8 (channels, weights per channel).
    """
    bound = np.abs(bias.astype(np.int64)) + _REACH * np.abs(rows.astype(np.int32)).sum(axis=1, dtype=np.int64)
    widened = bound << np.maximum(shift, 0).astype(np.int64)
    worst = int(np.argmax(widened))
    if int(widened[worst]) > INT32_MAX - _OUTPUT_ROOM:
        raise context.unsupported(
            op, f"the accumulator of output channel {worst} can leave int32", int(widened[worst])
        )
